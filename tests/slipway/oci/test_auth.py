from __future__ import annotations

import base64
import time
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from slipway.errors import NeedsPersonError, TransientError
from slipway.oci.auth import ChallengeAuth, read_challenges
from slipway.oci.client import RegistryClient, content_digest
from slipway.oci.credentials import Credentials

REGISTRY = "https://registry.test"
LOGIN = Credentials("ci", "a-secret")
BASIC = f"Basic {base64.b64encode(b'ci:a-secret').decode()}"
BLOB = b"a blob"


class Challenging:
    """A registry with a token server, which keeps what it was sent."""

    def __init__(self, challenge: str | None = None) -> None:
        self.challenge = challenge or 'Bearer realm="https://auth.test/token",service="registry.test"'
        self.accepted = "Bearer token-1"
        self.requests: list[httpx.Request] = []
        self.token = lambda _: httpx.Response(200, json={"token": "token-1"})

    token: Callable[[httpx.Request], httpx.Response]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if request.url.host != "registry.test":
            return self.streamed(self.token(request))
        if request.headers.get("Authorization") != self.accepted:
            return self.streamed(httpx.Response(401, headers={"WWW-Authenticate": self.challenge}))
        return self.streamed(httpx.Response(200, content=BLOB))

    @staticmethod
    def streamed(answer: httpx.Response) -> httpx.Response:
        async def content() -> object:
            yield answer.content

        return httpx.Response(answer.status_code, headers=answer.headers, content=content())  # type: ignore[arg-type]

    def client(self, credentials: Credentials | None = LOGIN, url: str = REGISTRY) -> RegistryClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self), follow_redirects=True)
        return RegistryClient(url, ChallengeAuth("registry.test", credentials), http)

    def sent_to(self, host: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.host == host]


async def read(client: RegistryClient, repository: str = "team/app") -> bytes:
    return b"".join([chunk async for chunk in client.read_blob(repository, content_digest(BLOB))])


async def test_given_a_bearer_challenge_when_a_blob_is_read_then_a_token_is_asked_for_once_with_the_login() -> None:
    registry = Challenging()
    client = registry.client()
    assert (await read(client), await read(client)) == (BLOB, BLOB)
    (asked,) = registry.sent_to("auth.test")
    assert dict(asked.url.params) == {"service": "registry.test", "scope": "repository:team/app:pull"}
    assert asked.headers["Authorization"] == BASIC
    assert BASIC not in {request.headers.get("Authorization") for request in registry.sent_to("registry.test")}


async def test_given_no_login_when_a_public_blob_is_read_then_the_token_is_asked_for_without_one() -> None:
    registry = Challenging()
    assert await read(registry.client(None)) == BLOB
    assert "Authorization" not in registry.sent_to("auth.test")[0].headers


async def test_given_a_scope_of_another_kind_when_a_token_is_asked_for_then_the_scope_is_the_challenges() -> None:
    registry = Challenging('Bearer realm="https://auth.test/token/?a=b",service="public.ecr.aws",scope="aws"')
    assert await read(registry.client(None)) == BLOB
    assert dict(registry.sent_to("auth.test")[0].url.params) == {"a": "b", "service": "public.ecr.aws", "scope": "aws"}


async def test_given_an_identity_token_when_a_token_is_asked_for_then_it_is_exchanged_in_a_form() -> None:
    registry = Challenging()
    registry.token = lambda _: httpx.Response(200, json={"access_token": "token-1"})
    assert await read(registry.client(Credentials(identity_token="refresh"))) == BLOB
    (asked,) = registry.sent_to("auth.test")
    form = parse_qs(asked.content.decode())
    assert (asked.method, form["grant_type"], form["refresh_token"]) == ("POST", ["refresh_token"], ["refresh"])
    assert "refresh" not in str(asked.url)


async def test_given_a_basic_challenge_when_a_blob_is_read_then_user_and_password_go_to_the_registry() -> None:
    registry = Challenging('Basic realm="x"')
    registry.accepted = BASIC
    assert await read(registry.client()) == BLOB


async def test_given_a_token_that_expired_when_a_blob_is_read_then_a_new_one_is_asked_for() -> None:
    registry = Challenging()
    client = registry.client()
    await read(client)
    registry.accepted = "Bearer token-2"
    registry.token = lambda _: httpx.Response(200, json={"token": "token-2"})
    assert await read(client) == BLOB


@pytest.mark.parametrize(
    "realm", ["http://auth.test/token", "https://user:pw@auth.test/token", "file:///etc/passwd", "token", "https://", ""]
)
async def test_given_a_token_server_without_tls_when_a_token_is_asked_for_then_the_login_is_not_sent(realm: str) -> None:
    registry = Challenging(f'Bearer realm="{realm}",service="registry.test"')
    with pytest.raises(NeedsPersonError, match="token server"):
        await read(registry.client())
    assert registry.sent_to("auth.test") == []


async def test_given_a_token_server_that_redirects_when_a_token_is_asked_for_then_the_login_does_not_follow() -> None:
    registry = Challenging()
    registry.token = lambda _: httpx.Response(307, headers={"Location": "https://evil.test/token"})
    with pytest.raises(NeedsPersonError, match="HTTP 307"):
        await read(registry.client(Credentials(identity_token="refresh")))
    assert registry.sent_to("evil.test") == []


async def test_given_a_challenge_of_the_host_that_a_blob_is_on_when_it_is_read_then_its_token_server_is_not_asked() -> None:
    registry = Challenging()

    async def answer(request: httpx.Request) -> httpx.Response:
        found = await registry(request)
        if request.url.host == "registry.test" and found.is_success:
            return registry.streamed(httpx.Response(307, headers={"Location": "https://blobs.test/blob"}))
        if request.url.host == "blobs.test":
            challenge = {"WWW-Authenticate": 'Bearer realm="https://evil.test/token"'}
            return registry.streamed(httpx.Response(401, headers=challenge))
        return found

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
    client = RegistryClient(REGISTRY, ChallengeAuth("registry.test", LOGIN), http)
    with pytest.raises(NeedsPersonError, match="401"):
        await read(client)
    assert registry.sent_to("evil.test") == []
    assert {request.headers.get("Authorization") for request in registry.sent_to("blobs.test")} == {None}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(401, text="the password a-secret is wrong"), "HTTP 401"),
        (httpx.Response(200, text="a-secret"), "no token"),
        (httpx.Response(200, json={"token": "a-secret\r\nX: y"}), "no token"),
        (httpx.Response(200, json=["a-secret"]), "no token"),
    ],
)
async def test_given_a_token_server_that_gives_none_when_it_is_asked_then_a_person_is_told_without_its_words(
    answer: httpx.Response, said: str
) -> None:
    registry = Challenging()
    registry.token = lambda _: answer
    with pytest.raises(NeedsPersonError, match=said) as raised:
        await read(registry.client())
    assert "a-secret" not in str(raised.value)


async def test_given_a_token_server_out_of_order_when_it_is_asked_then_it_is_tried_again() -> None:
    registry = Challenging()
    registry.token = lambda _: httpx.Response(503)
    with pytest.raises(TransientError, match=r"auth\.test: HTTP 503"):
        await read(registry.client())


@pytest.mark.parametrize("challenge", ['Basic realm="x"', "Negotiate", ""])
async def test_given_a_registry_that_wants_what_there_is_not_when_it_is_read_then_a_person_is_told(challenge: str) -> None:
    with pytest.raises(NeedsPersonError, match=r"logging in to registry\.test"):
        await read(Challenging(challenge or " ").client(None))


def test_given_several_challenges_in_one_header_when_they_are_read_then_each_has_its_parameters() -> None:
    value = 'Basic realm="a, \\"b\\" c=d", Bearer realm="https://auth.test/token",service=x,scope="repository:a:pull,push"'
    assert read_challenges(value) == [
        ("basic", {"realm": 'a, "b" c=d'}),
        ("bearer", {"realm": "https://auth.test/token", "service": "x", "scope": "repository:a:pull,push"}),
    ]


@pytest.mark.parametrize("said", ['a="' + "a" * 90_000, "a," * 45_000, "a" + " " * 90_000, 'a=\\"' * 20_000])
def test_given_a_challenge_that_goes_on_and_on_when_it_is_read_then_that_takes_no_time(said: str) -> None:
    before = time.process_time()
    read_challenges(f"Bearer {said}")
    assert time.process_time() - before < 2
