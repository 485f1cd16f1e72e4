"""The page in a real browser: drawn on with mouse, finger and keyboard, and given images."""

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from browsers import chromium, in_turn, needs_chromium, watched
from demo_models import photos, strokes, write_drawings, write_photos
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect
from sklearn.datasets import load_digits

from archsearch.demo.preparation import learn
from archsearch.demo.server import server

pytestmark = [pytest.mark.slow, in_turn, needs_chromium]
UPRIGHT = [(0.5, 0.2), (0.5, 0.8)]
LEVEL = [(0.2, 0.5), (0.8, 0.5)]
SLANTED = [(0.3, 0.3), (0.7, 0.7)]


@contextmanager
def running(folder: Path) -> Iterator[str]:
    with server(folder, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}/"
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(write_drawings(tmp_path_factory.mktemp("browser"))) as url:
        yield url


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with chromium() as page:
        yield page


@contextmanager
def opened(page: Page, url: str, width: int = 1280) -> Iterator[Page]:
    """The page, ready; whatever it complains of or asks for outside fails the test."""
    with watched(page, url):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(url)
        expect(page.locator("#main")).to_be_visible()
        yield page


@pytest.fixture
def ready(browser_page: Page, drawings: str) -> Iterator[Page]:
    with opened(browser_page, drawings) as page:
        yield page


def draw(page: Page, points: list[tuple[float, float]], lift: bool = True) -> None:
    """With the mouse, points being shares of the pad's side."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    if lift:
        page.mouse.up()


def shares(page: Page) -> list[float]:
    """The percentages beside the bars, in the order of the classes."""
    return [float(text.split("\u00a0")[0]) for text in page.locator("#bars .share").all_inner_texts()]


def pixels(page: Page, canvas: str) -> NDArray[np.uint8]:
    """What is on a canvas, (height, width, 4)."""
    url = page.locator(canvas).first.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


def colours(page: Page, canvas: str) -> int:
    return len(np.unique(pixels(page, canvas).reshape(-1, 4), axis=0))


def png(image: NDArray[np.uint8]) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(image.squeeze()).save(kept, "PNG")
    return kept.getvalue()


def give(page: Page, image: NDArray[np.uint8], name: str = "image.png") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": png(image)})


def verdict(page: Page, text: str) -> None:
    expect(page.locator("#verdict")).to_have_text(text)


def test_bars_and_maps_follow_the_hand(ready: Page) -> None:
    verdict(ready, "Nothing drawn yet")
    assert ready.locator("#bars .share").all_inner_texts() == ["", "", ""]
    draw(ready, UPRIGHT, lift=False)
    verdict(ready, "upright")
    upright = shares(ready)
    assert upright[0] > 80
    assert sum(upright) == pytest.approx(100, abs=0.2)
    expect(ready.locator("#bars li.first .class")).to_have_text("upright")
    # Still in the same stroke: a bend changes the answer before the button is let go.
    draw(ready, [(0.5, 0.8), (0.9, 0.8)], lift=False)
    expect(ready.locator("#bars .share").first).not_to_have_text(f"{upright[0]:.1f}\u00a0%")
    ready.mouse.up()
    assert ready.locator("#layers figure").count() == 3
    assert ready.locator(".maps canvas").count() == 8
    assert colours(ready, "#given") > 1
    assert colours(ready, ".maps canvas") > 2
    expect(ready.locator(".maps").first.locator("..").locator("figcaption")).to_have_text(
        "After convolution 1: its 4 maps, 28 × 28"
    )


def test_clear_is_as_new(ready: Page) -> None:
    draw(ready, LEVEL)
    verdict(ready, "level")
    ready.get_by_role("button", name="Clear").click()
    verdict(ready, "Nothing drawn yet")
    assert ready.locator("#bars .share").all_inner_texts() == ["", "", ""]
    assert colours(ready, "#pad") == colours(ready, "#given") == colours(ready, ".maps canvas") == 1


def test_size_and_place_do_not_matter(ready: Page) -> None:
    given = []
    for scale, shift in ((1, 0.0), (0.3, 0.0), (0.4, 0.55)):
        ready.get_by_role("button", name="Clear").click()
        verdict(ready, "Nothing drawn yet")
        draw(ready, [(x * scale + shift, y * scale + shift) for x, y in UPRIGHT])
        verdict(ready, "upright")
        ready.wait_for_timeout(100)
        given.append(pixels(ready, "#given")[..., 0].astype(int))
    rows = np.flatnonzero(given[0].max(axis=1) > 32)
    assert rows[-1] - rows[0] + 1 == pytest.approx(20, abs=1)
    assert abs(given[0] - given[1]).mean() < 2
    assert abs(given[0] - given[2]).mean() < 2


def test_what_lies_between_is_not_sure(ready: Page) -> None:
    draw(ready, SLANTED)
    expect(ready.locator("#verdict")).to_contain_text("Not sure: ")
    expect(ready.locator("#verdict")).to_have_class("verdict unsure")


def test_a_class_may_be_called_anything(ready: Page) -> None:
    assert ready.locator("main b, header b").count() == 0
    expect(ready.locator("#bars .class").nth(2)).to_have_text("<b>neither</b>")
    expect(ready.locator("#invitation")).to_have_text("Draw one of: upright, level, <b>neither</b>")


def test_it_says_what_it_knows(ready: Page) -> None:
    text = ready.locator("#remarks").inner_text()
    assert "only what it saw: 60 grey drawings of 28 × 28 pixels, each of them one of 3 classes" in text
    assert "Of 10 images that it had not seen it named 80.0\u00a0% right" in text
    assert (
        "less than 80.0\u00a0%. On those images that leaves 60.0\u00a0% answered, and 100.0\u00a0% of these right"
        in text
    )


def test_by_keyboard_alone(ready: Page) -> None:
    ready.keyboard.press("Tab")
    expect(ready.locator("#pad")).to_be_focused()
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 14 + [" "]:
        ready.keyboard.press(key)
    verdict(ready, "upright")
    ready.keyboard.press("Delete")
    verdict(ready, "Nothing drawn yet")
    ready.keyboard.press("Tab")
    expect(ready.get_by_role("button", name="Clear")).to_be_focused()
    ready.keyboard.press("Tab")
    expect(ready.locator("#file")).to_be_focused()
    ready.keyboard.press("Tab")
    ready.keyboard.press("Tab")
    ready.keyboard.press("Enter")
    verdict(ready, "level")


def test_an_image_is_prepared_like_a_drawing(ready: Page) -> None:
    paper = np.full((300, 420), 250, np.uint8)
    paper[60:200, 80:95] = 40
    give(ready, paper)
    verdict(ready, "upright")
    given = pixels(ready, "#given")[..., 0]
    assert given[0, 0] == 0
    assert np.flatnonzero(given.max(axis=1) > 32).tolist() == list(range(4, 24))
    ready.locator("#pad").focus()
    ready.keyboard.press("ArrowUp")
    ready.wait_for_timeout(100)
    verdict(ready, "upright")  # the pen was only moved
    draw(ready, LEVEL)
    verdict(ready, "level")


def test_an_image_may_be_dropped(ready: Page) -> None:
    data = base64.b64encode(png(strokes()[0][1].repeat(5, axis=0).repeat(5, axis=1))).decode()
    ready.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), character => character.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        data,
    )
    verdict(ready, "level")
    np.testing.assert_array_equal(pixels(ready, "#given")[..., 0], strokes()[0][1, ..., 0])


def test_images_with_nothing_in_them(ready: Page) -> None:
    give(ready, np.full((50, 50), 200, np.uint8))
    expect(ready.locator("#status")).to_have_text("There is nothing in this image: all of it looks like its frame.")
    verdict(ready, "Nothing drawn yet")
    ready.locator("#file").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"none"})
    expect(ready.locator("#status")).to_have_text("notes.txt: is no image that this browser can read")
    draw(ready, UPRIGHT)
    verdict(ready, "upright")
    expect(ready.locator("#status")).to_be_hidden()


def test_its_own_images_are_taken_as_they_are(ready: Page) -> None:
    for number, name in enumerate(("upright", "level")):
        ready.get_by_role("button", name=name, exact=True).click()
        verdict(ready, name)
        np.testing.assert_array_equal(pixels(ready, "#given")[..., 0], strokes()[0][number, ..., 0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_a_finger(browser_page: Page, drawings: str, scheme: Literal["light", "dark"]) -> None:
    browser = browser_page.context.browser
    assert browser is not None
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    with watched(page, drawings):
        page.goto(drawings)
        expect(page.locator("#main")).to_be_visible()
        box = page.locator("#pad").bounding_box()
        assert box is not None
        finger = context.new_cdp_session(page)

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in places]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", (0.5, 0.85))
        for step in range(12):
            touch("touchMove", (0.5, 0.85 - 0.06 * step))
        verdict(page, "upright")
        touch("touchEnd")
        assert page.evaluate("scrollY") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ends = page.locator("#bars").bounding_box()
        assert ends is not None
        assert ends["y"] + ends["height"] <= 740, "whoever draws does not see the bars"
        seen = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (seen == "rgb(21, 23, 26)") == (scheme == "dark")
    context.close()


def test_photos_are_dropped(browser_page: Page, tmp_path: Path) -> None:
    with running(write_photos(tmp_path)) as url, opened(browser_page, url, 820) as page:
        expect(page.locator("#invitation")).to_contain_text("Drop an image of one of")
        verdict(page, "No image yet")
        draw(page, UPRIGHT)
        verdict(page, "No image yet")
        image = photos()[0][1]
        give(page, image.repeat(4, axis=0).repeat(4, axis=1))
        verdict(page, "level")
        np.testing.assert_array_equal(pixels(page, "#given")[..., :3], image)
        page.get_by_role("button", name="upright", exact=True).click()
        verdict(page, "upright")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820


def test_a_page_without_its_model_says_so(browser_page: Page, tmp_path: Path) -> None:
    folder = write_drawings(tmp_path)
    (folder / "model.onnx").unlink()
    with running(folder) as url:
        browser_page.goto(url)
        expect(browser_page.locator("#status")).to_contain_text("The model cannot be loaded: model.onnx: 404")


REDRAWN = """async ([data, side, preparation, size]) => {
    const {fit, inkOf} = await import("/page/prepare.js");
    const bytes = Uint8Array.from(atob(data), character => character.charCodeAt(0)), found = [];
    for (let at = 0; at < bytes.length; at += side * side) {
        const values = Float32Array.from(bytes.subarray(at, at + side * side));
        found.push([...fit(inkOf({values, height: side, width: side}), preparation, {height: size, width: size})]);
    }
    return found;
}"""


def redrawn(page: Page, images: NDArray[np.uint8], learned: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the page makes of images (N, S, S) if they are drawn dark on bright and five times as large."""
    preparation = learn(learned[..., None])
    assert preparation is not None
    large = 255 - images.repeat(5, axis=1).repeat(5, axis=2)
    size = images.shape[1]
    told = vars(preparation)
    found = page.evaluate(REDRAWN, [base64.b64encode(large.tobytes()).decode(), 5 * size, told, size])
    return np.array(found).reshape(-1, size, size)


def test_mnist_drawn_anew_comes_out_as_it_was(ready: Page, mnist: Path) -> None:
    with np.load(mnist) as arrays:
        learned, images = arrays["x_train"][:2000], arrays["x_test"][:100]
    found = redrawn(ready, images, learned)
    assert (found == images).all(axis=(1, 2)).mean() > 0.75
    # What differs is moved by one pixel.
    assert abs(found - images).mean() < 1
    for axis in (1, 2):
        assert abs(middle(found, axis) - middle(images, axis)).max() < 1.1


def test_scikit_learns_digits_drawn_anew_come_out_as_they_were(ready: Page) -> None:
    images = (load_digits().images * 255 / 16).round().astype(np.uint8)
    found = redrawn(ready, images, images)
    assert (found == images).all(axis=(1, 2)).mean() > 0.8
    assert abs(found - images).mean() < 10


def middle(images: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
    mass = images.sum(axis=3 - axis)
    centre: NDArray[np.float64] = mass @ np.arange(mass.shape[1]) / mass.sum(axis=1)
    return centre
