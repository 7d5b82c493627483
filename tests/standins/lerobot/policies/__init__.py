from lerobot.policies.chunked import ChunkedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy

__all__ = ["ChunkedConfig", "PreTrainedPolicy", "get_policy_class", "make_pre_post_processors"]
