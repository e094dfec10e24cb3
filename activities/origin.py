"""Whose effect an activity is to have."""

from __future__ import annotations

from slipway.api import AppRef, Message, PromotionRequest


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
