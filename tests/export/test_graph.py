import numpy as np
import pytest
from exporting import pixels
from PIL import Image

from archsearch.export.graph import resized


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 21), (5, 3), (64, 48), (127, 9)])
def test_images_are_resized_as_pillow_does_it_when_data_is_read(height: int, width: int, channels: int) -> None:
    images = pixels(3, height, width, channels)
    found = resized(images.astype(np.float32), 8).numpy()
    assert found.shape == (3, 8, 8, channels)
    for image, small in zip(images, found, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        expected = np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR), np.float32).reshape(8, 8, channels)
        # Pillow computes with whole numbers: a value half-way between two may fall either way.
        assert np.abs(small - expected).max() <= 1.0


def test_images_of_the_right_size_stay_as_they_are() -> None:
    images = pixels(2, 9, 9, 1).astype(np.float32)
    assert (resized(images, 9).numpy() == images).all()
