"""Other sites' pages have no business here."""

from __future__ import annotations

import pytest
from slipway_sandbox.control.page.guard import Guard
from werkzeug.test import Client
from werkzeug.wrappers import Response

from sandbox.testkit.contract import behaviour

OWN = "127.0.0.1:4566"


@pytest.fixture
def client() -> Client:
    return Client(Guard(Response("here"), "http://sandbox.example.com:4566"))


@pytest.mark.parametrize(
    "host", [OWN, "localhost:4566", "[::1]:4566", "10.0.0.7", "sandbox:4566", "host.docker.internal", "sandbox.example.com:4566"]
)
def test_given_a_tool_when_it_calls_by_an_address_or_a_private_name_then_it_is_answered(client: Client, host: str) -> None:
    assert client.post("/_sandbox/faults", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4566", "127.0.0.1.evil.example", "localhost.evil.example", "[::1"]
)
def test_given_a_name_that_anybody_may_own_when_it_leads_here_then_it_is_refused(client: Client, host: str) -> None:
    response = client.get("/_sandbox/calls", headers={"Host": host})
    assert response.status_code == 403
    assert "host" in response.json["error"]  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:3000", "http://127.0.0.1:45660"]
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
@behaviour(
    "Around the services",
    "browsers",
    differs="`/_sandbox/` has no login, and refuses with 403 what a browser sends on behalf of another site, or to a host "
    "name that anybody may own",
)
def test_given_another_sites_page_when_it_sends_something_then_it_is_refused(client: Client, origin: str, method: str) -> None:
    response = client.open("/_sandbox/faults", method=method, headers={"Host": OWN, "Origin": origin})
    assert response.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_given_a_request_that_a_browser_calls_foreign_when_it_comes_then_it_is_refused(client: Client, site: str) -> None:
    headers = {"Host": OWN, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/_sandbox/calls", headers=headers).status_code == 403
    assert client.post("/_sandbox/reset", headers={**headers, "Sec-Fetch-Mode": "navigate"}).status_code == 403


def test_given_a_link_from_elsewhere_when_a_person_follows_it_then_the_page_is_shown(client: Client) -> None:
    headers = {"Host": OWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/_sandbox/", headers=headers).status_code == 200


def test_given_the_page_itself_when_it_sends_a_form_then_it_is_answered(client: Client) -> None:
    headers = {"Host": OWN, "Origin": f"http://{OWN}", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/_sandbox/faults", headers=headers).status_code == 200
