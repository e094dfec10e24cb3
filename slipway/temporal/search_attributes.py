"""The search attributes of a promotion: the one list that set-up, workflows and the command line go by."""

from __future__ import annotations

from enum import StrEnum

from temporalio.common import SearchAttributeKey

APP = SearchAttributeKey.for_keyword("SlipwayApp")
STAGE = SearchAttributeKey.for_keyword("SlipwayStage")
STATE = SearchAttributeKey.for_keyword("SlipwayState")
DIGEST = SearchAttributeKey.for_keyword("SlipwayDigest")
TARGETS = SearchAttributeKey.for_keyword_list("SlipwayTargets")
WAITING_FOR = SearchAttributeKey.for_keyword("SlipwayWaitingFor")

ALL = (APP, STAGE, STATE, DIGEST, TARGETS, WAITING_FOR)


class State(StrEnum):
    """The values of SlipwayState: where a promotion is, and then how it ended (`Outcome`)."""

    running = "running"
    waiting = "waiting"
    """For approvers."""
    parked = "parked"
    """For an operator."""
    undoing = "undoing"
    promoted = "promoted"
    refused = "refused"
    rejected = "rejected"
    expired = "expired"
    aborted = "aborted"
    rolled_back = "rolled-back"
