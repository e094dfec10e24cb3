"""Whose effect an activity is to have."""

from __future__ import annotations

from slipway.api import AppRef, Message, PromotionRequest
from slipway.aws.clients import Actor
from slipway.git.rules import app_file, normalise_url


class Origin(Message):
    """The promotion that an activity works for. The worker's checks at each effect begin here."""

    request: PromotionRequest
    commit: str
    """The commit of the deployment branch that the promotion's spec was read at."""

    @property
    def app(self) -> AppRef:
        """Where the application's files are."""
        return self.request.app

    @property
    def promotion_id(self) -> str:
        """The promotion's id, which follows from the request."""
        return self.request.promotion_id


def actor_of(origin: Origin) -> Actor:
    """Whom sessions of target roles name."""
    app = f"{normalise_url(origin.app.repository)}#{origin.app.branch}#{app_file(origin.app.folder) or '.'}"
    return Actor(promotion=origin.promotion_id, app=app)
