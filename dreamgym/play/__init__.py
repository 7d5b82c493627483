"""Play in a dream: a page on this machine on which a person drives a dream and its twin (``dreamgym play``).

session.py holds one player's dream and twin and knows nothing of the web; server.py speaks to browsers; page/ is what
they show.
"""

from dreamgym.play.session import Frame, Session

__all__ = ["Frame", "Session"]
