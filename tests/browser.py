"""Open every page of a built book in a browser, at the width of a telephone and of a desk: `make browser`.

    python tests/browser.py docs/_build/html                      prints what is wrong, page by page
    python tests/browser.py docs/_build/html --pictures FOLDER    also saves a picture of every page at every width

Chromium, or another browser of its family, must be on the path. A page must not scroll sideways, all of its pictures must load,
and all of its mathematics must be typeset, without a request to any other host. The exit status is 1 if anything is wrong.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WIDTHS = (400, 1400)
HEIGHT = 900
TALLEST = 16_000  # pixels of a picture
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--hide-scrollbars", "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host
)
SECONDS = 30.0  # longest time of one page, at one width
CHECK = "/__check__.html"
REPORT = "/__report__"

# The page loads each page of the book in an iframe of each width and sends back what it finds.
PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:0"><script>
const pages = PAGES, widths = WIDTHS, height = HEIGHT;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const send = (found) => fetch("REPORT", {method: "POST", body: JSON.stringify(found)});
function widest(page) {
  // The element that reaches farthest to the right, but for those inside a box that scrolls or cuts by itself.
  let found = null, right = page.documentElement.clientWidth + 1;
  for (const one of page.body.querySelectorAll("*")) {
    const edge = one.getBoundingClientRect().right;
    if (edge <= right) continue;
    let inside = false;
    for (let up = one.parentElement; up && up !== page.body; up = up.parentElement)
      if (page.defaultView.getComputedStyle(up).overflowX !== "visible") { inside = true; break; }
    if (!inside) { found = one; right = edge; }
  }
  if (!found) return "";
  const tag = `<${found.tagName.toLowerCase()} class="${found.className}">`;
  return `${tag} to ${Math.round(right)}: ${found.textContent.trim().slice(0, 60)}`;
}
async function look(path, width) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:${height}px;border:0`;
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  frame.src = path;
  document.body.replaceChildren(frame);
  await loaded;
  const page = frame.contentDocument, wrong = [];
  const images = [...page.images];
  images.forEach((image) => { image.loading = "eager"; });
  await Promise.race([Promise.all(images.map((image) => image.decode().catch(() => null))), pause(5000)]);
  const mathematics = page.querySelectorAll(".math");
  if (mathematics.length) {
    const ready = frame.contentWindow.MathJax?.startup?.promise;
    if (ready) await Promise.race([ready, pause(15000)]);
    const plain = [...mathematics].filter((one) => !one.querySelector("mjx-container")).length;
    if (plain) wrong.push(`${plain} of ${mathematics.length} formulas are not typeset`);
    // Errors of syntax, and names that MathJax does not know, which it writes in red.
    for (const error of page.querySelectorAll('[data-mjx-error], mjx-container [fill="red"]'))
      wrong.push("a formula has an error: " + (error.getAttribute("data-mjx-error") || error.closest(".math")?.textContent));
  }
  for (const image of images) if (!image.naturalWidth) wrong.push("a picture does not load: " + image.getAttribute("src"));
  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth)
    wrong.push(`scrolls sideways: ${root.scrollWidth} pixels wide; ${widest(page)}`);
  if (!page.title) wrong.push("has no title");
  return {path, width, wrong, height: root.scrollHeight, images: images.length, formulas: mathematics.length};
}
(async () => {
  for (const path of pages) for (const width of widths) {
    let found;
    try { found = await look(path, width); }
    catch (error) { found = {path, width, wrong: ["cannot be checked: " + error], height: 0, images: 0, formulas: 0}; }
    await send(found);
  }
  await send({done: true});
})();
</script>"""


@dataclass
class Reports:
    """What the browser has sent."""

    found: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    done: bool = False

    def add(self, one: dict[str, Any]) -> None:
        with self.changed:
            self.done = self.done or bool(one.get("done"))
            if not one.get("done"):
                self.found.append(one)
            self.changed.notify_all()

    def wait(self, browser: subprocess.Popen[bytes]) -> None:
        """Wait until the browser has sent everything, has ended, or has sent nothing for SECONDS."""
        while not self.done and browser.poll() is None:
            before = len(self.found)
            with self.changed:
                if not self.done and len(self.found) == before:
                    self.changed.wait(SECONDS)
            if not self.done and len(self.found) == before:
                return


class Handler(SimpleHTTPRequestHandler):
    """Serve the book, the page that checks it, and the address to which that page reports."""

    def __init__(self, *arguments: Any, check: str, reports: Reports, **options: Any) -> None:
        self.check, self.reports = check, reports
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if self.path != CHECK:
            super().do_GET()
            return
        body = self.check.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.reports.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


def pages_of(book: Path) -> list[str]:
    """Return the addresses of all pages of a built book."""
    return [path.relative_to(book).as_posix() for path in sorted(book.rglob("*.html")) if "_static" not in path.parts]


def find_browser() -> str | None:
    """Return the path of an installed browser."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def start(browser: str, profile: str, *flags: str) -> subprocess.Popen[bytes]:
    """Start a browser without a window, with a profile of its own."""
    root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    return subprocess.Popen(
        [browser, *FLAGS, *root, f"--user-data-dir={profile}", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a browser that was started here."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check(browser: str, book: Path, pages: list[str], pictures: Path | None) -> list[dict[str, Any]]:
    """Return what the browser finds on each page at each width, and save pictures if a folder for them is given."""
    reports, page = Reports(), PAGE
    for name, value in (("PAGES", pages), ("WIDTHS", WIDTHS), ("HEIGHT", HEIGHT)):
        page = page.replace(name, json.dumps(value), 1)
    page = page.replace("REPORT", REPORT, 1)
    handler = partial(Handler, directory=str(book), check=page, reports=reports)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        process = start(browser, profile, "--remote-debugging-port=0", address + CHECK)
        try:
            reports.wait(process)
        finally:
            stop(process)
        for one in reports.found if pictures else ():
            name = one["path"].removesuffix(".html").replace("/", "-") + f"-{one['width']}.png"
            size = f"--window-size={one['width']},{min(max(one['height'], HEIGHT), TALLEST)}"
            drawing = start(browser, profile, size, f"--screenshot={pictures / name}", f"{address}/{one['path']}")
            try:
                drawing.wait(SECONDS)
            except subprocess.TimeoutExpired:
                stop(drawing)
        server.shutdown()
    return reports.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("book", type=Path, help="folder of a built book")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every page at every width")
    flags = parser.parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit(f"no browser is on the path: install Chromium (looked for {', '.join(BROWSERS)})")
    if not (flags.book / "index.html").is_file():
        sys.exit(f"{flags.book} holds no book: make docs builds one in docs/_build/html")
    if flags.pictures:
        flags.pictures.mkdir(parents=True, exist_ok=True)
    pages = pages_of(flags.book)
    found = check(browser, flags.book, pages, flags.pictures.absolute() if flags.pictures else None)
    for one in found:
        for line in one["wrong"]:
            print(f"{one['path']} at {one['width']} pixels: {line}")
    missing = len(pages) * len(WIDTHS) - len(found)
    wrong = sum(bool(one["wrong"]) for one in found)
    print(
        f"{len(pages)} pages at {' and '.join(map(str, WIDTHS))} pixels: {wrong} with faults"
        + (f", {missing} not checked because the browser stopped" if missing else "")
        + f"; {sum(one['images'] for one in found)} pictures, {sum(one['formulas'] for one in found)} formulas"
    )
    sys.exit(bool(wrong or missing))


if __name__ == "__main__":
    main()
