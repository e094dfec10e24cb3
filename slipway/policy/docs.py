"""Writes the policy's reference and its JSON Schema from the models: `python -m slipway.policy.docs`."""

from __future__ import annotations

from slipway.app.spec_docs import ROOT, reference, schema
from slipway.decisions.signatures import SIGNERS_LIMIT
from slipway.policy.model import WorkerPolicy

SCHEMA_FILE = ROOT / "policy.schema.json"
REFERENCE_FILE = ROOT / "docs" / "policy.md"
_HEAD = """# The worker's policy

The worker holds credentials to production. Its owner says in this file which applications may use them, and for what.
`SLIPWAY_POLICY` names the file: a path, or `<repository>@<branch>:<path>` of a file in a repository of its own, which the app
teams cannot push to. It is read again while the worker runs. If it cannot be read then, the last good copy counts, and the log
says so.

The first entry of `apps` that covers repository, branch and folder counts. An application without an entry is refused, and the
error says which entry to add. `slipway policy lint FILE` checks a file.

```yaml
# yaml-language-server: $schema=<path or address of policy.schema.json>
apiVersion: slipway.dev/v1
kind: WorkerPolicy
apps:
  - repository: https://github.com/acme/deploy.git
    branch: main
    folder: apps/screening
    accounts: ["222222222222"]
    regions: [us-east-1]
    imageSources: [111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-pipeline-ci]
    imageTargets: [222222222222.dkr.ecr.us-east-1.amazonaws.com/screening-pipeline]
    families: [screening-pipeline]
    clusters: [arn:aws:ecs:us-east-1:222222222222:cluster/ml]
    pipelines: [screening-training]
    packageGroups: [screening]
    endpoints: [screening-*]
    roles: [arn:aws:iam::222222222222:role/screening-*, arn:aws:iam::222222222222:role/slipway-rollout-screening]
    allowedSigners: https://github.com/acme/slipway-policy.git@main:allowed_signers
    signedBy:
      - issuer: https://token.actions.githubusercontent.com
        subject: https://github.com/acme/pipeline/.github/workflows/build.yml@refs/heads/main
    approval: {quorum: 2, auto: false, identity: signed}
    limits: {activities: 50, waits: 1000, targets: 200}
```

## Who decides

`approval.identity` says how well it must be known who decides. `signed` is the default: a decision counts where its document was
signed with a key that `allowedSigners` has for that person. [How to enrol approvers](approvers.md) has the commands, and what the
three levels are worth. `allowedSigners` is read again as the policy is; it may hold {limit} bytes. It must lie where nobody can
write who may change an app on the list.

## Whose images

`signedBy` says who must have signed an image with cosign, by a public key or keyless. One of the list is enough. It counts beside
`spec.image.signedBy`, so that who may change the app's files cannot do without it. [Signed images](signatures.md) has the forms,
and where they are verified.

## What is watched

The worker watches the branch of each entry for images that piped's event watcher writes
([`git.writer: pipecd`](pipecd.md#who-writes-the-image)). An entry whose repository ends in `/*` names none: `slipway look` begins
the watch of one below it. An app that no entry covers is left alone, and no registry is asked for an image that its entry does
not allow.

## When it is checked

- *When the app is read*, before anything is changed. A value outside refuses the promotion. The error names the key, what the
  file says, and what the policy allows.
- *At each effect*: before each activity that changes AWS or git, the worker reads the policy again, and the spec at the commit
  that the promotion pinned. That commit must be on the allowed branch. The activity must do what the spec says, and the policy
  must still allow it. So a policy that is narrowed takes effect for promotions that are waiting: they park, and change nothing.
  Widen the policy and retry, or abort.
- *When an effect is undone*: what a promotion did it may undo, also after the policy was narrowed. A task, an execution and a
  commit must carry the promotion's id; a task that piped ran must run its image, for a commit that brings it. So must an
  endpoint config carry the id (in its tag `slipway-promotion`), and the execution that made a package, where the policy no
  longer allows the app. The role of a target needs `sagemaker:ListTags` for that. The repository and the branch must still be
  in the policy. Where they are not, the promotion parks on its way back.

## Limits

Apps share a worker. `limits` keeps one that starts many promotions from starving the others:

- `activities` and `waits` are per app and worker process. An activity over the limit does not wait inside the worker, where it
  would hold a slot that a neighbour needs. It fails at once, and Temporal tries it again: after a second, later every half
  minute. The Temporal UI shows the reason on the pending activity. If it gets no turn within the activity's whole time (an hour
  for most), the promotion parks. Activities that undo an effect count, and never wait for a turn.
- `targets` refuses a rollout with more targets when the app is read. If the policy is narrowed later, the rollout parks at the
  next target's preflight.
- The worker polls with 100 slots for short activities on each of two queues, and 5,000 slots for waits. Keep the sum of what
  busy apps may have in flight below these numbers, or run more workers.

Within these limits Temporal serves the apps in turn: `slipway start` gives each promotion the fairness key of its app, and
activities and rollouts inherit it. A server uses the key where `matching.enableFairness` is true in its dynamic configuration
(`deploy/temporal` sets it), or where fairness is on for the namespace in Temporal Cloud. Elsewhere the key does nothing.

## One trust domain

`SLIPWAY_REPOSITORIES` is the short form for one team: a list of `<repository>@<branch>` (`main` if it is not written).
Everybody who can push to one of these branches may use all that the worker's credentials allow, for each app on them. Set one
of the two, not both. Apps that must not touch each other need a policy, or workers of their own. The names of
those who decide are claimed: everybody who can reach the Temporal namespace can approve under any name.

This page is made from the models in `slipway/policy/model.py` by `python -m slipway.policy.docs`.
"""


def policy_schema() -> str:
    """The JSON Schema of the file."""
    return schema(WorkerPolicy)


def policy_reference() -> str:
    """The reference as Markdown."""
    return reference(_HEAD.replace("{limit}", f"{SIGNERS_LIMIT:,}"), WorkerPolicy)


def main() -> None:
    """Writes both files."""
    SCHEMA_FILE.write_text(policy_schema())
    REFERENCE_FILE.write_text(policy_reference())


if __name__ == "__main__":
    main()
