import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.containers.image_uri import ImageUri

NAMES = st.from_regex(r"[a-z0-9]{1,8}([._/-][a-z0-9]{1,8}){0,3}", fullmatch=True)
TAGS = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(st.from_regex(r"[0-9]{12}", fullmatch=True), NAMES, TAGS, DIGESTS)
def test_given_any_image_when_its_name_is_written_and_read_then_it_is_the_same(
    account: str, repository: str, tag: str | None, digest: str | None
) -> None:
    image = ImageUri(account, "us-east-1", repository, tag, digest)

    assert ImageUri.parse(str(image)) == image


@pytest.mark.parametrize("name", ["python:3.11", "localhost:5000/app", "12.dkr.ecr.us-east-1.amazonaws.com/app", ""])
def test_given_a_name_of_another_registry_when_it_is_read_then_the_error_shows_the_shape(name: str) -> None:
    with pytest.raises(ValueError, match=r"<account>\.dkr\.ecr"):
        ImageUri.parse(name)
