"""The page that scans certificates, in a real browser: what it believes, what it refuses, and without a network."""

from __future__ import annotations

import io
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from defects import ALL_TYPES
from ledger import (
    CERTIFICATE_FIELDS,
    Certificate,
    TrustedKey,
    TrustList,
    issue_certificate,
    pair_of,
    qr_png,
    verify_certificate,
)
from tests.ledger import certificates as made

from .scan_site import WEB, ScanSite, served
from .visits import PHONE, running_browser, visits_of

VECTORS = Path(__file__).parents[2] / "docs" / "vectors" / "certificate"
DISTRICT, PUBLISHER, STRANGER = (pair_of(bytes([n]) * 32) for n in (1, 2, 3))


def trust(*keys: TrustedKey, number: int = 1) -> TrustList:
    now_s = int(time.time())
    key = TrustedKey(DISTRICT.kid, "330105", "拱墅区", DISTRICT.key, now_s - 90_000, now_s + 900_000)
    previous = bytes(32) if number > 1 else b""
    return TrustList(number, "example hub", now_s - 60, now_s + 600_000, keys or (key,), previous)


def certificate(**changed: Any) -> str:
    now_s = int(time.time())
    said: Certificate = replace(
        made.SQUARE, issued_s=now_s - 60, expires_s=now_s + 3600, day=now_s // 86_400, **changed
    )  # fmt: skip
    return issue_certificate(said, DISTRICT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def site() -> Iterator[ScanSite]:
    with served(ScanSite(trust(), PUBLISHER)) as site:
        yield site


@pytest.fixture
def visit(browser: Any, site: ScanSite) -> Iterator[Any]:
    with visits_of(browser, site) as begin:
        yield begin


def scanned(page: Any, text: str) -> str:
    """What the page says of a picture of a code."""
    page.set_input_files("#photo", {"name": "code.png", "mimeType": "image/png", "buffer": qr_png(text, 4)})
    page.wait_for_selector("#verdict:not([hidden])")
    return str(page.locator("#verdict").inner_text())


def pasted(page: Any, text: str) -> str:
    if not page.locator("#text").is_visible():
        page.click("#paste summary")
    page.fill("#text", text)
    page.click("#check")
    page.wait_for_selector("#verdict:not([hidden])")
    return str(page.locator("#verdict").inner_text())


@pytest.mark.browser
def test_a_photo_of_a_code_is_told_with_place_time_and_origin(visit: Any, site: ScanSite) -> None:
    seen = visit(viewport=PHONE)
    page = seen.open("scan.html")
    # A photo is larger than the code, and not straight.
    code = Image.open(io.BytesIO(qr_png(certificate(colour=1, state=0, kind=None, severity=0), 5))).convert("L")
    photo = Image.new("L", (1700, 1300), 200)
    photo.paste(code.rotate(7, expand=True, fillcolor=255), (500, 300))
    out = io.BytesIO()
    photo.save(out, "JPEG")
    page.set_input_files("#photo", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()})
    page.wait_for_selector("#verdict[data-colour=green]")
    said = page.locator("#verdict").inner_text()
    for part in ("The certificate holds", "Green", "looked for 5 of 16", str(made.CELL), "拱墅区 (330105)", "30.27900"):
        assert part in said
    assert re.search("simulated", page.locator("#verdict .origin").inner_text(), re.I)
    assert "example hub, number 1" in page.locator("#trust").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert seen.complaints == []
    # Nobody is told what was scanned.
    assert not [path for path in site.asked if "RHC1" in path or str(made.CELL) in path]


@pytest.mark.browser
def test_what_must_not_be_believed_is_refused_without_its_colour(visit: Any, site: ScanSite) -> None:
    page = visit().open("scan.html")
    good = certificate()
    assert "holds" in scanned(page, good)
    refused = {
        good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:]: "signature does not hold",
        issue_certificate(made.SQUARE, STRANGER): "No district on the trust list",
        "RHC1:NONSENSE": "no road certificate",
    }  # fmt: skip
    now_s = int(time.time())
    old = replace(made.SQUARE, issued_s=now_s - 7200, expires_s=now_s - 1, day=now_s // 86_400)
    refused[issue_certificate(old, DISTRICT)] = "It has expired"
    for text, why in refused.items():
        said = pasted(page, text)
        page.wait_for_selector("#verdict[data-colour=none]")
        assert re.search(why, said), said
        assert "Do not believe" in said
        assert "Red:" not in said
    site.trust = trust(replace(site.trust.keys[0], revoked_s=now_s), number=2)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert "revoked" in pasted(page, good)
    page.set_input_files("#photo", {"name": "x.png", "mimeType": "image/png", "buffer": qr_png("NO CERTIFICATE", 4)})
    page.wait_for_selector("#message:has-text('no road certificate')")


@pytest.mark.browser
def test_without_a_network_it_opens_and_checks_with_the_list_it_keeps(visit: Any, site: ScanSite) -> None:
    seen = visit()
    page = seen.open("scan.html")
    page.wait_for_function("navigator.serviceWorker.ready.then((r) => r.active.state === 'activated')")
    site.down = True
    seen.context.set_offline(True)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert "Offline now" in page.locator("#trust").inner_text()
    assert "The certificate holds" in scanned(page, certificate())


@pytest.mark.browser
def test_a_list_of_another_publisher_or_an_older_one_is_not_taken(visit: Any, site: ScanSite) -> None:
    site.trust = trust(number=5)
    page = visit().open("scan.html")
    now_s = int(time.time())
    stranger = TrustedKey(STRANGER.kid, "330105", "拱墅区", STRANGER.key, now_s - 90, now_s + 9_000)
    forged = certificate()
    for publisher, offered in ((PUBLISHER, trust(stranger, number=4)), (STRANGER, trust(stranger, number=6))):
        site.publisher, site.trust = publisher, offered
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert "it was not taken" in page.locator("#trust").inner_text()
        assert "holds" in pasted(page, forged)
        assert "number 5" in page.locator("#trust").inner_text()


@pytest.mark.browser
def test_a_page_that_is_not_secure_says_so_and_an_address_brings_its_code(visit: Any) -> None:
    seen = visit()
    text = certificate()
    page = seen.open("scan.html#" + text.replace("%", "%25").replace(" ", "%20"))
    assert "The certificate holds" in page.locator("#verdict").inner_text()
    seen.page.add_init_script("Object.defineProperty(globalThis, 'isSecureContext', {value: false})")
    page.reload()
    page.wait_for_selector("#insecure:not([hidden])")
    assert "HTTPS" in page.locator("#insecure").inner_text()
    assert page.locator("#check").is_disabled()


@pytest.mark.browser
def test_the_browser_and_the_platform_agree_on_vectors_and_on_mutations(visit: Any) -> None:
    """Two readers in two languages: each text has one verdict."""
    page = visit().open("scan.html")
    judge = """async ([texts, list, key, now]) => {
      const { verifyCertificate } = await import("./certificate.js");
      const { readTrustList, bytesOfHex } = await import("./trust.js");
      const trust = await readTrustList(bytesOfHex(list), bytesOfHex(key));
      const found = [];
      for (const text of texts) {
        const { ok, steps } = await verifyCertificate(text, trust, now);
        found.push(ok ? null : steps.find((s) => !s.ok).name);
      }
      return found;
    }"""
    files = [json.loads(path.read_text("utf-8")) for path in sorted(VECTORS.glob("*.json"))]
    assert len(files) > 20
    for said in files:
        args = [[said["text"]], said["trust_list"], said["publisher_key"], said["now_s"]]
        assert page.evaluate(judge, args) == [said["failed"]], said["what"]
    rng = random.Random(6)
    claims = made.claims_of(issue_certificate(made.SQUARE, made.PAIR))
    texts = []
    for _ in range(300):
        changed = dict(claims)
        changed[-65537] = dict(claims[-65537])
        target = rng.choice([changed, changed[-65537]])
        key = rng.choice([*target, 19, 64, 70])
        values = [0, 1, 2, 5, 19, 255, -1, 2**40, 2**53, 2**63, 1.5, True, None, "x", "", "路" * 70, b"x", b"", [], {}]
        if rng.random() < 0.2:
            target.pop(key, None)
        else:
            target[key] = rng.choice(values)
        texts.append(made.text_of(made.canonical(changed)))
    vector = next(said for said in files if said["what"].startswith("a red square"))
    now_s = vector["now_s"]
    found = page.evaluate(judge, [texts, vector["trust_list"], vector["publisher_key"], now_s])
    ours = [verify_certificate(text, made.trust_list(), now_s).failed for text in texts]
    assert found == ours
    assert {None, "readable"} <= set(ours)


def test_the_page_knows_the_fields_and_kinds_of_the_platform() -> None:
    said = (WEB / "certificatefields.js").read_text("utf-8")
    rows = [json.loads(line.rstrip(",")) for line in re.findall(r"^  (\{.*\}),$", said, re.M)]
    assert rows == [{k: v for k, v in vars(field).items() if k not in ("zh", "en")} for field in CERTIFICATE_FIELDS]
    kinds = re.search(r"^const KINDS = (\[.*\]);$", (WEB / "scan.js").read_text("utf-8"), re.M)
    assert kinds is not None
    assert json.loads(kinds[1]) == [t.key for t in ALL_TYPES]
    words = (WEB / "scanwords.js").read_text("utf-8")
    chinese, english = words.split("\n  zh: {")[1].split("\n  en: {")
    names = [re.findall(r"^    (\w+):", part.split("\n  },")[0], re.M) for part in (chinese, english)]
    assert len(names[0]) > 50
    assert names[0] == names[1]
    kept = re.search(r"^const FILES = (\[.*\]);$", (WEB / "scan-worker.js").read_text("utf-8"), re.M)
    assert kept is not None
    for name in json.loads(kept[1]):
        assert (WEB / name).is_file()
