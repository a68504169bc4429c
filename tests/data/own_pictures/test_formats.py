"""Every format that Pillow reads, as files that Pillow and others write."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from harness.data.own_pictures.formats import as_web_picture, is_picture_name, look_at_header
from harness.data.pictures.decode import decode
from harness.data.pictures.limits import MAX_PIXELS, BrokenImageError

# pytest resets the filter that harness.data.own_pictures.formats sets for Pillow's warnings.
pytestmark = pytest.mark.filterwarnings("ignore")

ROWS, COLUMNS = np.mgrid[0:40, 0:60]
GRADIENT = np.stack([ROWS * 6, COLUMNS * 4, 255 - ROWS * 6], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def shown(data: bytes) -> np.ndarray:
    """What a network is given of a file."""
    header = look_at_header(data)
    pixels = decode(data if header.plain else as_web_picture(data))
    assert pixels.shape == (header.height, header.width, 3)
    return pixels


def written() -> dict[str, bytes]:
    """The gradient in each mode and format that Pillow can write and reads again."""
    Image.init()
    picture, found = Image.fromarray(GRADIENT), {}
    for form in sorted(set(Image.SAVE) & set(Image.OPEN) - {"EPS", "WMF", "BUFR", "GRIB", "HDF5"}):
        for mode in ("RGB", "L", "1", "RGBA", "P"):
            try:
                data = encoded(picture.convert(mode), form)
                Image.open(io.BytesIO(data)).convert("RGB")
            except (OSError, ValueError, KeyError, NotImplementedError):
                continue
            found[f"{form} {mode}"] = data
    return found


def test_every_format_that_pillow_writes_is_read():
    files = written()
    forms = {name.split()[0] for name in files}
    assert {"AVIF", "BMP", "GIF", "ICO", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"} <= forms
    wrong = []
    for name, data in files.items():
        pixels = shown(data).astype(int)
        whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        if pixels.shape != whole.shape or np.abs(pixels - whole).max() > 3:
            wrong.append(name)
        if pixels.shape[:2] == (40, 60) and np.abs(pixels.mean((1, 2)) - expected(name)).mean() > 9:
            wrong.append(f"{name}: another picture")
    assert wrong == []


def expected(name: str) -> np.ndarray:
    """The mean of each row of the gradient, in the mode that the name ends in."""
    form, mode = name.split()
    grey = mode in "1L" or form == "SPIDER"  # which knows no colours
    image = Image.fromarray(GRADIENT).convert("L" if grey else "RGB").convert("RGB")
    return np.asarray(image).astype(int).mean((1, 2))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(form):
    deep = (GRADIENT[..., 0].astype(np.uint16) << 8) | 0x7F
    pixels = shown(encoded(Image.fromarray(deep), form))
    assert np.array_equal(pixels, np.repeat(GRADIENT[..., :1], 3, axis=2))


def test_cmyk_is_read_as_pillow_does():
    data = encoded(Image.fromarray(GRADIENT).convert("CMYK"), "JPEG", quality=95)
    assert look_at_header(data).plain
    assert np.abs(shown(data).astype(int) - GRADIENT).mean() < 12


def test_of_an_animation_the_first_picture_is_read():
    frames = [Image.fromarray(GRADIENT), Image.fromarray(255 - GRADIENT)]
    for form in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert np.abs(shown(data).astype(int) - GRADIENT).mean() < 12, form


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.asarray(Image.fromarray(GRADIENT))
    lying = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1), 7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    data = encoded(Image.fromarray(np.ascontiguousarray(lying)), form, exif=exif, quality=95)
    assert look_at_header(data).plain == (orientation == 1 and form != "TIFF")
    assert np.abs(shown(data).astype(int) - upright).mean() < 12


def test_a_large_picture_of_another_format_is_shrunk():
    data = encoded(Image.new("RGB", (6_000, 5_000), (200, 10, 10)), "TIFF", compression="tiff_lzw")
    header = look_at_header(data)
    pixels = decode(as_web_picture(data))
    assert (header.width, header.height) == (6_000, 5_000)
    assert pixels.shape == (2_500, 3_000, 3)
    assert pixels[1_000, 1_000].tolist() == [200, 10, 10]


def test_what_costs_too_much_is_refused_by_its_header():
    side = int(MAX_PIXELS**0.5) + 1
    for data in (
        encoded(Image.new("1", (side, side)), "TIFF", compression="group4"),
        encoded(Image.new("1", (10_000, 2)), "PPM"),
    ):
        with pytest.raises(BrokenImageError, match="pixels are too"):
            look_at_header(data)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_part_of_a_file_is_broken_and_never_another_error(cut):
    whole = set()
    for name, data in written().items():
        try:
            decode(as_web_picture(data[: int(len(data) * cut)]))
        except BrokenImageError:
            continue
        whole.add(name.split()[0])  # rare formats have no length: they are read as far as they go
    assert whole & {"AVIF", "BMP", "JPEG", "TIFF", "WEBP"} == set()


def test_names_tell_pictures_from_other_files():
    for name in ("a.jpg", "a.JPEG", "b.PnG", "c.webp", "d.tif", "e.avif", "f.jp2", "g.bmp"):
        assert is_picture_name(name)
    for name in ("a.txt", "jpg", "a.pdf", "a.eps", "a.mp4", "a.json", "a.heic", "a.h5", ""):
        assert not is_picture_name(name)
