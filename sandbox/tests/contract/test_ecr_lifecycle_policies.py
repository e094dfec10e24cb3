"""ECR's lifecycle policies, call by call."""

from __future__ import annotations

import json

from sandbox.testkit.contract import Aws, contract

MISSING = "RepositoryNotFoundException"
INVALID = "InvalidParameterException"
BAD_NAME = "No/Capitals"
LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "keep one image",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            }
        ]
    }
)


@contract("ecr", "PutLifecyclePolicy", errors=(MISSING, INVALID))
@contract("ecr", "GetLifecyclePolicy", errors=(MISSING, INVALID, "LifecyclePolicyNotFoundException"))
@contract("ecr", "DeleteLifecyclePolicy", errors=(MISSING, INVALID, "LifecyclePolicyNotFoundException"))
def test_lifecycle_policies(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("images")
    ecr.create_repository(repositoryName=name)
    calls = (ecr.get_lifecycle_policy, ecr.delete_lifecycle_policy)
    for call in calls:
        with aws.refused("LifecyclePolicyNotFoundException", match="Lifecycle policy does not exist"):
            call(repositoryName=name)
    for wrong, code in ((f"{name}-not", MISSING), (BAD_NAME, INVALID)):
        for call in calls:
            with aws.refused(code):
                call(repositoryName=wrong)
        with aws.refused(code):
            ecr.put_lifecycle_policy(repositoryName=wrong, lifecyclePolicyText=LIFECYCLE)
    with aws.refused(INVALID, match="Lifecycle policy validation failure"):
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=LIFECYCLE.replace("expire", "explode"))
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=LIFECYCLE)
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]) == json.loads(LIFECYCLE)
    ecr.delete_lifecycle_policy(repositoryName=name)
    ecr.delete_repository(repositoryName=name, force=True)
