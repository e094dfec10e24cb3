"""Stage 2 where piped's event watcher writes the image: Slipway finds the commit that brought it, and writes nothing."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.event_commits import HeldImage, VerifyImage
    from activities.origin import Origin
    from slipway.api import LedgerState, StageName
    from workflows.state.compensations import KeepImage, Planned
    from workflows.state.promotion import PromotionState, known


def verification(state: PromotionState, origin: Origin) -> VerifyImage:
    """What is asked of the deployment branch."""
    app = known(state.app)
    return VerifyImage(
        app=origin.app,
        promotion_id=origin.promotion_id,
        handler=app.handler,
        commit=app.commit,
        image=f"{app.spec.spec.image.source}@{origin.request.digest}",
        origin=origin,
    )


def keep_commit(state: PromotionState, found: HeldImage) -> str:
    """Keep the commit, and say on the ledger that it stays, however the promotion ends.

    Returns:
        The stage's line.
    """
    state.taskdef = taskdef = found.taskdef
    planned = Planned(stage=StageName.taskdef, inverse="leave the commit", undo=KeepImage())
    note = f"nothing was written to git: piped's event watcher brought the image in {taskdef.commit[:12]}"
    state.plan(planned.settled(LedgerState.kept, note))
    by = f"commit {taskdef.commit[:12]} by {found.author} (claimed)"
    return f"{taskdef.file}: {taskdef.after} since {by}; nothing was written"


def held_in_place(state: PromotionState) -> str:
    """What the file holds in the place of the promoted image; nothing where Slipway wrote that into it."""
    return known(state.taskdef).after if known(state.app).spec.spec.git.writer == "pipecd" else ""


def commit_to_register(state: PromotionState) -> str:
    """The commit whose task definition is registered: the one that Slipway made, else the pinned one.

    The commit that brought the image may be old, and the file have changed since.
    """
    return known(state.app).commit if held_in_place(state) else known(state.taskdef).commit
