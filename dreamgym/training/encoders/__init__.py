"""Small vision encoders trained on the frames of a store, for where pretrained ones cannot be had."""

from dreamgym.training.encoders.train import EncoderTraining, save_encoder, train_encoder

__all__ = ["EncoderTraining", "save_encoder", "train_encoder"]
