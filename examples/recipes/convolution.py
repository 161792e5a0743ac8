"""Convolution and pooling as layers of one's own, on rows that are flattened images (height, width, channels).

A convolution is one matrix product over all windows of all images. Rows stay rows, so that these layers stand in
`chain` beside any others. `test_convolution.py` proves them.
"""

from functools import partial, reduce
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nnfunc import Array, DType, InputGradient, Key, Layer, Params, Pullback, he_uniform

Image = tuple[int, int, int]  # height, width, channels


def convolution(image: Image, filters: int, size: int) -> Layer:
    """Return the layer that lays `filters` windows of size x size over each image, one pixel on at a time, without borders.

    Shapes:
        x (n, height * width * channels), W (size * size * channels, filters), b (filters,),
        y (n, (height - size + 1) * (width - size + 1) * filters).
    """
    if min(*image, filters, size) < 1 or size > min(image[:2]):
        raise ValueError(f"convolution: size must fit into the image, got {size} and {image}, {filters} filters")
    return partial(convolution_init, image[2] * size**2, filters), partial(convolution_forward, image, size)


def convolution_init(inputs: int, filters: int, key: Key, dtype: DType) -> Params:
    return {"W": he_uniform(key, (inputs, filters), dtype), "b": np.zeros(filters, dtype)}


def convolution_forward(image: Image, size: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    W, b, images = params["W"], params["b"], x.reshape(len(x), *image)
    windows = sliding_window_view(images, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    n, high, wide = windows.shape[:3]
    rows = windows.reshape(-1, len(W))  # a copy: each pixel stands in it size * size times

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        dz = dy.reshape(-1, len(b))

        def dx() -> Array:
            back, total = (dz @ W.T).reshape(windows.shape), np.zeros_like(images)
            for i, j in product(range(size), repeat=2):
                total[:, i : i + high, j : j + wide] += back[:, :, :, i, j]
            return total.reshape(x.shape)

        return {"W": rows.T @ dz, "b": np.ones(len(dz), dz.dtype) @ dz}, dx

    return (rows @ W + b).reshape(n, -1), pullback


def max_pool(image: Image, size: int) -> Layer:
    """Return the layer that keeps the largest of each size x size square, by channel; equal ones share the gradient.

    Shapes:
        x (n, height * width * channels), y (n, height / size * width / size * channels).
    """
    return no_params, partial(max_pool_forward, divided("max_pool", image, size), size)


def max_pool_forward(image: Image, size: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    images = x.reshape(len(x), *image)
    y = reduce(np.maximum, corners(images, size))

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            largest = [corner == y for corner in corners(images, size)]
            share, total = dy.reshape(y.shape) / np.sum(largest, axis=0, dtype=x.dtype), np.empty_like(images)
            for corner, mask in zip(corners(total, size), largest, strict=True):
                np.multiply(mask, share, out=corner)
            return total.reshape(x.shape)

        return {}, dx

    return y.reshape(len(x), -1), pullback


def mean_pool(image: Image, size: int) -> Layer:
    """Return the layer that takes the mean of each size x size square, by channel; shapes as in `max_pool`."""
    return no_params, partial(mean_pool_forward, divided("mean_pool", image, size), size)


def mean_pool_forward(image: Image, size: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    images = x.reshape(len(x), *image)
    y: Array = reduce(np.add, corners(images, size)) / size**2

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            share = dy.reshape(y.shape) / size**2
            return share.repeat(size, axis=1).repeat(size, axis=2).reshape(x.shape)

        return {}, dx

    return y.reshape(len(x), -1), pullback


def corners(images: Array, size: int) -> list[Array]:
    """Return size * size views of the images: the first pixel of every square, the second, and so on."""
    return [images[:, i::size, j::size] for i, j in product(range(size), repeat=2)]


def divided(function: str, image: Image, size: int) -> Image:
    """Return the image, of which squares of this size must leave nothing over."""
    if size < 1 or image[0] % size or image[1] % size:
        raise ValueError(f"{function}: size must divide the image's {image[0]} x {image[1]}, got {size}")
    return image


def no_params(key: Key, dtype: DType) -> Params:
    return {}
