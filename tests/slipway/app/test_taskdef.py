from __future__ import annotations

import pytest

from slipway.app.problems import FileError
from slipway.app.taskdef import container_images, parse_taskdef, taskdef_hash

TASKDEF = """FAMILY: screening
cpu: 256
Memory: "512"
unknown: 1
tags: [{key: a, value: b}]
containerdefinitions:
  - name: pipeline
    image: repo/x
    cpu: "128"
    ESSENTIAL: true
    environment: [{name: DEBUG, value: 1}]
    dockerLabels: {MixedCase: yes please}
"""


def test_given_keys_in_any_case_when_a_task_definition_is_read_then_it_is_the_apis_request() -> None:
    assert parse_taskdef(TASKDEF) == {
        "family": "screening",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {
                "name": "pipeline",
                "image": "repo/x",
                "cpu": 128,
                "essential": True,
                "environment": [{"name": "DEBUG", "value": "1"}],
                "dockerLabels": {"MixedCase": "yes please"},
            }
        ],
    }


def test_given_another_layout_when_it_is_hashed_then_the_hash_is_the_same() -> None:
    assert taskdef_hash(parse_taskdef(TASKDEF)) == taskdef_hash(
        parse_taskdef("# comment\n" + TASKDEF.replace("FAMILY", "family"))
    )


def test_given_another_image_when_it_is_hashed_then_the_hash_is_another() -> None:
    assert taskdef_hash(parse_taskdef(TASKDEF)) != taskdef_hash(parse_taskdef(TASKDEF.replace("repo/x", "repo/y")))


def test_given_a_task_definition_when_its_images_are_asked_then_they_come_by_container() -> None:
    assert container_images(parse_taskdef(TASKDEF)) == {"pipeline": "repo/x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no task definition"),
        ("family: x\n", "containerDefinitions: is required and absent"),
        (TASKDEF.replace('"128"', "many"), "9:10: error: containerdefinitions[0].cpu: found 'many'; allowed: a number"),
        (TASKDEF.replace("true", "maybe"), "allowed: true or false"),
        (TASKDEF.replace("[{name: DEBUG, value: 1}]", "{DEBUG: 1}"), "allowed: a list"),
    ],
)
def test_given_what_the_api_cannot_take_when_a_task_definition_is_read_then_its_place_is_told(text: str, said: str) -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("written", ["12:30", "23:59:59", "1.0", "0777", "1_000", "000123456789", "1e-4", "yes", "True", "0x1F"])
def test_given_a_value_without_quotes_when_the_api_wants_text_then_it_is_the_text_that_was_written(written: str) -> None:
    [container] = parse_taskdef(TASKDEF.replace("value: 1}", f"value: {written}}}"))["containerDefinitions"]
    assert container["environment"] == [{"name": "DEBUG", "value": written}]


def test_given_json_with_tabs_when_it_is_read_then_it_is_read_as_piped_does() -> None:
    text = '{\n\t"family":\t"x",\n\t"containerDefinitions": [{"image": "repo/x"}]\t\n}\n'
    assert parse_taskdef(text) == {"family": "x", "containerDefinitions": [{"image": "repo/x"}]}


def test_given_a_mistake_of_half_a_megabyte_when_it_is_told_then_the_message_is_short() -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef(TASKDEF.replace('"128"', "m" * 400_000))
    assert len(str(refused.value)) < 500
