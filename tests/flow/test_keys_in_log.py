"""A running platform has a signing key, hands out a list that names it, and has told its log of it."""

from __future__ import annotations

import httpx

from ledger import PublicKey, parse, read_trust_list

from ..street import Street, until


def test_the_district_s_key_is_in_the_list_that_is_handed_out_and_in_the_log(street: Street) -> None:
    with httpx.Client(base_url=street.url, trust_env=False) as client:
        said = client.get("/api/v1/trust-list/key").json()
        trust = read_trust_list(client.get("/api/v1/trust-list").content, PublicKey(bytes.fromhex(said["public"])))
    (key,) = trust.keys
    assert key.issuer == street.city.region_code
    with street.connect() as conn:

        def told() -> list[bytes]:
            return [bytes(row[0]) for row in conn.execute("SELECT body FROM record WHERE kind = 'key' ORDER BY idx")]

        until(lambda: bool(told()), 30, "the keeper tells the log, and the anchorer numbers it")
        (body,) = [parse(one) for one in told()]
    assert (body["step"], body["kid"], body["public"]) == ("issued", key.kid, key.key.public)
    assert body["issuer"] == street.city.region_code
