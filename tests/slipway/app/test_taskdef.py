from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.problems import FileError
from slipway.app.taskdef import TaskdefReading, container_images, load_taskdef, parse_taskdef, taskdef_hash, taskdef_of

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


@pytest.mark.parametrize("other", ["    Image: repo/y\n", "    cpu: 64\n"])
def test_given_a_key_twice_in_two_cases_when_a_task_definition_is_read_then_neither_counts(other: str) -> None:
    with pytest.raises(FileError, match="once more, in another case of its letters"):
        parse_taskdef(TASKDEF.replace("    cpu:", f"{other}    CPU:"))


ON_FARGATE = "family: a\ncontainerDefinitions: [{name: b, image: c}]\nrequiresCompatibilities: [FARGATE]\n"
FITS = "cpu: 256\nmemory: 512\nnetworkMode: awsvpc\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ON_FARGATE + FITS.replace("awsvpc", "bridge"), "networkMode: found 'bridge'; allowed with"),
        (ON_FARGATE + FITS.replace("networkMode: awsvpc", ""), "networkMode: is required and absent"),
        (ON_FARGATE + FITS.replace("cpu: 256", ""), "cpu: is required and absent"),
        (ON_FARGATE + FITS.replace("memory: 512", ""), "memory: is required and absent"),
        (ON_FARGATE.replace("family: a", "family: my trainer") + FITS, "family: found 'my trainer'; allowed: up to 255 letters"),
        (ON_FARGATE.replace("name: b", "name: b.c") + FITS, "containerDefinitions[0].name: found 'b.c'; allowed"),
    ],
)
def test_given_what_ecs_refuses_when_a_task_definition_is_read_then_it_is_refused_before_anything_is_done(
    text: str, said: str
) -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef(text)
    [problem] = refused.value.problems
    assert said in str(problem)


def test_given_the_answer_of_the_aws_command_when_it_is_read_then_it_is_said_what_to_keep() -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef('{"taskDefinition": {"family": "a", "containerDefinitions": []}, "tags": []}')
    [problem] = refused.value.problems
    assert "--query taskDefinition" in problem.help


def test_given_a_word_that_ecs_does_not_know_when_a_task_definition_is_read_then_it_is_a_warning() -> None:
    reading = taskdef_of(load_taskdef(ON_FARGATE + FITS + "runtimePlatform: {cpuArchitecture: arm64}\n", "taskdef.yaml"))
    assert reading.request["runtimePlatform"] == {"cpuArchitecture": "arm64"}
    [warning] = reading.warnings
    assert warning.message == "found 'arm64', which ECS may not know"
    assert "X86_64, ARM64" in warning.help


def test_given_containers_that_are_no_list_when_a_task_definition_is_read_then_one_thing_is_said_of_them() -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef("family: a\ncontainerDefinitions: {pipeline: {image: x}}\n")
    [problem] = refused.value.problems
    assert problem.help == "allowed: a list"


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
        (TASKDEF.replace('"128"', "5000000000"), "allowed: a number up to 2,147,483,647"),
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
    text = '{\n\t"family":\t"x",\n\t"containerDefinitions": [{"name": "x", "image": "repo/x"}]\t\n}\n'
    assert parse_taskdef(text) == {"family": "x", "containerDefinitions": [{"name": "x", "image": "repo/x"}]}


def test_given_a_mistake_of_half_a_megabyte_when_it_is_told_then_the_message_is_short() -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef(TASKDEF.replace('"128"', "m" * 400_000))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ("{image: r/x}", "containerDefinitions[0].name: is required and absent"),
        ("{name: x}", "containerDefinitions[0].image: is required and absent"),
        ("{name: x, image: ''}", "containerDefinitions[0].image: is required and absent"),
        ("{name: x, image: r/x}\n  - {name: x, image: r/y}", "containerDefinitions[1].name: is the name of two containers: x"),
        ("{name: x, image: r/x, healthCheck: {}}", "containerDefinitions[0].healthCheck.command: is required and absent"),
        ("{name: x, image: r/x, logConfiguration: {logDriver: ''}}", "logConfiguration.logDriver: is required and absent"),
        ("{name: x, image: r/x, ulimits: [{name: nofile, softLimit: 1}]}", "ulimits[0].hardLimit: is required and absent"),
    ],
)
def test_given_what_ecs_refuses_of_a_container_when_it_is_read_then_it_is_refused_before_anything_is_done(
    container: str, said: str
) -> None:
    with pytest.raises(FileError) as refused:
        parse_taskdef(f"family: x\ncontainerDefinitions:\n  - {container}\n")
    assert said in str(refused.value)


def reading_of(text: str) -> TaskdefReading:
    return taskdef_of(load_taskdef(text, "taskdef.yaml"))


BARE = "family: x\ncontainerDefinitions:\n  - name: x\n    image: repo/x\n"


@pytest.mark.parametrize("extra", ["pidMode: ''", 'ipcMode: ""', "networkMode: ''", "runtimePlatform: {cpuArchitecture: ''}"])
def test_given_an_empty_text_for_one_of_several_words_when_it_is_read_then_it_is_left_out(extra: str) -> None:
    key = extra.partition(":")[0]
    assert parse_taskdef(f"{BARE}{extra}\n").get(key) in (None, {})


def test_given_an_empty_text_where_any_text_may_be_when_it_is_read_then_it_stays() -> None:
    assert parse_taskdef(f"{BARE}taskRoleArn: ''\n")["taskRoleArn"] == ""


@pytest.mark.parametrize(
    ("text", "line", "path", "help_"),
    [
        (f"{BARE}    enviroment: []\n", 5, "containerDefinitions[0].enviroment", "did you mean 'environment'?"),
        (f"{BARE}executionRoleARNs: x\n", 5, "executionRoleARNs", "did you mean 'executionRoleArn'?"),
        (f"{BARE}tags: []\n", 5, "tags", "remove it, or set it otherwise"),
        (f"{BARE}revision: 3\n", 5, "revision", "remove it"),
        (f"{BARE}compatibilities: [FARGATE]\n", 5, "compatibilities", "remove it"),
        (f"{BARE}qqq: 1\n", 5, "qqq", "remove it, or correct its name"),
    ],
)
def test_given_a_key_that_is_left_out_when_a_task_definition_is_read_then_it_is_told_at_its_place(
    text: str, line: int, path: str, help_: str
) -> None:
    [warning] = reading_of(text).warnings
    assert (warning.line, warning.path, warning.help) == (line, path, help_)
    assert "is left out" in warning.message


def test_given_a_place_for_anchors_when_a_task_definition_is_read_then_it_is_not_told() -> None:
    assert reading_of(f"x-log: &log {{logDriver: awslogs}}\n{BARE}    logConfiguration: *log\n").warnings == ()


@pytest.mark.parametrize(
    ("written", "pipeds"), [("1.0", "1"), ("0777", "511"), ("1_000", "1000"), ("y", "true"), ("1e-4", "0.0001")]
)
def test_given_a_text_that_piped_reads_otherwise_when_it_is_read_then_both_are_told(written: str, pipeds: str) -> None:
    reading = reading_of(f"{BARE}    environment: [{{name: A, value: {written}}}]\n")
    [warning] = reading.warnings
    assert f"is registered as '{written}'; piped would register '{pipeds}'" in warning.message
    assert reading.request["containerDefinitions"][0]["environment"] == [{"name": "A", "value": written}]


@pytest.mark.parametrize("written", ["12:30", "23:59:59", "'1.0'", '"y"', "v1.0", "256", "true", "2024-01-01"])
def test_given_a_text_that_piped_reads_the_same_when_it_is_read_then_nothing_is_told(written: str) -> None:
    assert reading_of(f"{BARE}    environment: [{{name: A, value: {written}}}]\n").warnings == ()


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [("essential", "y", True), ("essential", "Off", False), ("cpu", "0o17", 15), ("cpu", "1e3", 1000)],
)
def test_given_a_number_or_a_truth_value_when_it_is_read_then_it_is_as_piped_reads_it(
    key: str, written: str, value: object
) -> None:
    assert parse_taskdef(f"{BARE}    {key}: {written}\n")["containerDefinitions"][0][key] == value


PLAIN = st.text(alphabet="0123456789_.eE+xobYyNnaf", min_size=1, max_size=10)


@given(PLAIN)
def test_given_any_plain_scalar_when_the_api_wants_text_then_it_is_the_text_that_was_written(written: str) -> None:
    [container] = parse_taskdef(f"{BARE}    environment: [{{name: A, value: {written} }}]\n")["containerDefinitions"]
    assert container["environment"] == [{"name": "A", "value": written}]
