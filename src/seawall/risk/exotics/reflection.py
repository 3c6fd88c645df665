"""Brownian motion with drift before one or two absorbing barriers, by images and, where those are many, by sines.

Everything is in log space and in total units: `drift` and `variance` are those of the whole time to expiry. The process
starts at 0, so that a strike near spot keeps its digits; the (lower) barrier lies at -down, an upper one at +up.
Sources: the reflection principle, e.g. Karatzas and Shreve,
"Brownian Motion and Stochastic Calculus", 1991, sections 2.8 and 3.5.C; for two barriers N. Kunitomo and M. Ikeda,
"Pricing options with curved boundaries", Mathematical Finance 2 (1992), 275-298, theorem 3.1 with flat boundaries, and
the sine series of the same density, A. Pelsser, "Pricing double barrier options using Laplace transforms", Finance and
Stochastics 4 (2000), 95-104.

An image's weight e^g may overflow where its mass underflows. So both exponents are added before exp is taken, and the
tails come from erfcx, which holds no exponential: every term then lies in [0, 1] for any drift and variance.
"""

from typing import Final

import numpy as np
from scipy.special import erf, erfc, erfcx

from seawall.risk.exotics.diffusion import Array

BEYOND: Final = 1e9
"""Stands for infinity in log space: its square over the least variance is still finite."""

IMAGES: Final = 4
SINES: Final = 5
FEW_IMAGES: Final = 0.8
"""Standard deviation over width: below, images -4 to 4 are exact to 1e-17; above, five sines are."""

_EXPONENT_MAX: Final = 700.0
_ZERO: Final = np.zeros(())


def image_mass(origin: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """Mass between `low` and `high` at expiry that the image at `origin` of the process has; needs low <= high.

    With origin 0 it is the plain probability of ending in the interval.
    """
    scale = np.sqrt(2 * variance)
    first, last = (low - origin - drift) / scale, (high - origin - drift) / scale
    upper = (first + last).real > 0  # the interval lies more in the upper tail: measure from there
    near, far = np.where(upper, first, -last), np.where(upper, last, -first)
    tail = _tail(near, np.where(upper, low, high), origin, drift, variance)
    tail = tail - _tail(far, np.where(upper, high, low), origin, drift, variance)
    middle = 0.5 * _exp(drift * origin / variance) * (erf(far) - erf(near))
    return np.asarray(np.where(near.real > 0, tail, middle))


def kept(down: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """Probability of ending in [low, high] without having touched the barrier."""
    low, high = np.maximum(low, -down), np.maximum(high, -down)
    return image_mass(_ZERO, low, high, drift, variance) - image_mass(-2 * down, low, high, drift, variance)


def knocked(down: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """Probability of ending in [low, high] having touched the barrier; no difference of large numbers."""
    below = image_mass(_ZERO, np.minimum(low, -down), np.minimum(high, -down), drift, variance)
    return below + image_mass(-2 * down, np.maximum(low, -down), np.maximum(high, -down), drift, variance)


def kept_between(down: Array, up: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """Probability of ending in [low, high] without having touched either barrier."""
    low, high = _inside(low, down, up), _inside(high, down, up)
    images = np.zeros(())
    for n in range(-IMAGES, IMAGES + 1):
        shift = 2 * n * (down + up)
        images = images + image_mass(shift, low, high, drift, variance)
        images = images - image_mass(shift - 2 * down, low, high, drift, variance)
    return np.asarray(np.where(_few(down + up, variance), images, _sines(down, up, low, high, drift, variance)))


def knocked_between(down: Array, up: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """Probability of ending in [low, high] having touched a barrier."""
    inner_low, inner_high = _inside(low, down, up), _inside(high, down, up)
    images = image_mass(_ZERO, np.minimum(low, -down), np.minimum(high, -down), drift, variance)
    images = images + image_mass(_ZERO, np.maximum(low, up), np.maximum(high, up), drift, variance)
    for n in range(-IMAGES, IMAGES + 1):
        shift = 2 * n * (down + up)
        images = images + image_mass(shift - 2 * down, inner_low, inner_high, drift, variance)
        if n:
            images = images - image_mass(shift, inner_low, inner_high, drift, variance)
    rest = image_mass(_ZERO, low, high, drift, variance) - _sines(down, up, inner_low, inner_high, drift, variance)
    return np.asarray(np.where(_few(down + up, variance), images, rest))


def discounted_hit(down: Array, drift: Array, variance: Array, discounting: Array) -> Array:
    """Expectation of e^(-rate * time) at the first touch of the barrier, if before expiry.

    `discounting` is rate * years. Needs drift^2 + 2 * discounting * variance >= 0, the published formula's root.
    """
    return _hit_image(down, down, drift, variance, discounting)


def discounted_hit_first(down: Array, up: Array, drift: Array, variance: Array, discounting: Array) -> Array:
    """The same for touching the lower barrier before the upper; for the upper first swap them and turn the drift."""
    images = np.zeros(())
    for n in range(-IMAGES, IMAGES + 1):
        distance = down + 2 * n * (down + up)
        side = np.where(distance.real < 0, -1.0, 1.0)
        images = images + side * _hit_image(down, side * distance, drift, variance, discounting)
    return np.asarray(np.where(_few(down + up, variance), images, _hit_sines(down, up, drift, variance, discounting)))


def _few(width: Array, variance: Array) -> Array:
    return np.asarray(np.sqrt(variance).real <= FEW_IMAGES * width)


def _enough(width: Array, drift: Array, variance: Array) -> tuple[Array, Array]:
    """Drift and variance where sines are used, and harmless ones where images are, which would overflow here."""
    few = _few(width, variance)
    return np.asarray(np.where(few, 0.0, drift)), np.asarray(np.where(few, width**2, variance))


def _exp(exponent: Array) -> Array:
    """exp, kept finite where a branch that np.where will not choose would overflow."""
    return np.asarray(np.exp(np.where(exponent.real > _EXPONENT_MAX, _EXPONENT_MAX, exponent)))


def _inside(edge: Array, down: Array, up: Array) -> Array:
    return np.asarray(np.minimum(np.maximum(edge, -down), up))


def _tail(deviation: Array, edge: Array, origin: Array, drift: Array, variance: Array) -> Array:
    """Image mass beyond `edge`, which lies `deviation` >= 0 root-two standard deviations from the image's mean."""
    weight = origin * (2 * edge - origin) - (edge - drift) ** 2
    return np.asarray(0.5 * _exp(weight / (2 * variance)) * erfcx(positive(deviation)))


def positive(numbers: Array) -> Array:
    """The numbers, 0 where they are negative."""
    return np.asarray(np.where(numbers.real > 0, numbers, 0.0))


def _hit_image(down: Array, distance: Array, drift: Array, variance: Array, discounting: Array) -> Array:
    """Discounted first touch from `distance` >= 0, weighted for the drift over `down`.

    Integral over time of the first-passage density at `distance`, with drift and discounting together in the root.
    """
    root = np.sqrt(drift**2 + 2 * discounting * variance)
    scale = np.sqrt(2 * variance)
    weight = -((down + drift) ** 2 + distance**2 - down**2) / (2 * variance) - discounting
    ahead = 0.5 * _exp(weight) * erfcx((distance + root) / scale)
    behind = (distance - root) / scale
    # root + drift without cancellation where the drift is towards the barrier
    towards = drift.real < 0
    surplus = np.where(towards, 2 * discounting * variance / np.where(towards, root - drift, 1.0), root + drift)
    late = 0.5 * _exp(weight) * erfcx(positive(behind))
    early = _exp(-(surplus * down + root * (distance - down)) / variance) * 0.5 * erfc(-positive(-behind))
    return np.asarray(ahead + np.where(behind.real > 0, late, early))


def _sines(down: Array, up: Array, low: Array, high: Array, drift: Array, variance: Array) -> Array:
    """`kept_between` by sines: each integrated in closed form between low and high."""
    width = down + up
    drift, variance = _enough(width, drift, variance)
    total = np.zeros(())
    slope = drift / variance
    for n in range(1, SINES + 1):
        wave = n * np.pi / width
        decay = -0.5 * wave**2 * variance - drift**2 / (2 * variance)
        terms = []
        for edge in (high, low):
            size, phase = _exp(slope * edge + decay), wave * (edge + down)
            terms.append(size * (slope * np.sin(phase) - wave * np.cos(phase)) / (slope**2 + wave**2))
        total = total + 2 / width * np.sin(wave * down) * (terms[0] - terms[1])
    return np.asarray(total)


def _hit_sines(down: Array, up: Array, drift: Array, variance: Array, discounting: Array) -> Array:
    """`discounted_hit_first` as the touch at any time less the touches after expiry, those by sines."""
    width = down + up
    drift, variance = _enough(width, drift, variance)
    square = drift**2 + 2 * discounting * variance
    root = np.sqrt(square)
    ratio = np.expm1(-2 * root * up / variance) / np.expm1(-2 * np.where(root == 0, 1.0, root) * width / variance)
    ever = _exp(-(drift + root) * down / variance) * np.where(root == 0, up / width, ratio)
    late = np.zeros(())
    for n in range(1, SINES + 1):
        wave = n * np.pi / width
        decay = 0.5 * (square / variance + wave**2 * variance)
        late = late + wave * variance / width * np.sin(wave * down) * _exp(-drift * down / variance - decay) / decay
    return np.asarray(ever - late)
