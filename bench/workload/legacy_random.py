"""The draws of numpy.random.RandomState, bit for bit, without numpy.

RandomState is frozen for ever, and S-LoRA's workload was drawn from it. It is the Mersenne twister
that Python has too, seeded otherwise (init_genrand of Matsumoto and Nishimura), with distributions
that are a few lines each (numpy/random/src/legacy/legacy-distributions.c, and
src/distributions/distributions.c for the bounded integers).
"""

import math
import random

STATE_WORDS = 624


class LegacyRandom:
    def __init__(self, seed):
        if not 0 <= seed < 1 << 32:
            raise ValueError(f"seed: expected 0 to 2^32 - 1, got {seed}")
        words = [seed]
        for i in range(1, STATE_WORDS):
            words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + i) & 0xFFFFFFFF)
        self._twister = random.Random()
        self._twister.setstate((3, (*words, STATE_WORDS), None))
        self.random = self._twister.random  # uniform on [0, 1), 53 bits
        self._spare_normal = None

    def integer(self, low, high):
        """Uniform on [low, high): the smallest mask above, and what is too large is drawn again."""
        most = high - 1 - low
        if not 0 <= most < 1 << 32:
            raise ValueError(f"integer: expected 1 to 2^32 values, got [{low}, {high})")
        if most == 0:
            return low
        mask = (1 << most.bit_length()) - 1
        while True:
            drawn = self._twister.getrandbits(32) & mask
            if drawn <= most:
                return low + drawn

    def exponential(self):
        return -math.log(1.0 - self.random())

    def power(self, alpha):
        """Density alpha · x^(alpha - 1) on [0, 1]: uniform where alpha is 1."""
        return math.pow(1.0 - math.exp(-self.exponential()), 1.0 / alpha)

    def normal(self):
        """Marsaglia's polar method, which makes two at a time."""
        if self._spare_normal is not None:
            spare, self._spare_normal = self._spare_normal, None
            return spare
        while True:
            x = 2.0 * self.random() - 1.0
            y = 2.0 * self.random() - 1.0
            square = x * x + y * y
            if 0.0 < square < 1.0:
                break
        stretch = math.sqrt(-2.0 * math.log(square) / square)
        self._spare_normal = stretch * x
        return stretch * y

    def lognormal(self, mean, sigma):
        return math.exp(mean + sigma * self.normal())

    def gamma(self, shape, scale):
        return scale * self._standard_gamma(shape)

    def _standard_gamma(self, shape):
        if shape == 1.0:
            return self.exponential()
        if shape < 1.0:
            while True:
                u = self.random()
                v = self.exponential()
                if u <= 1.0 - shape:
                    x = math.pow(u, 1.0 / shape)
                    if x <= v:
                        return x
                else:
                    y = -math.log((1 - u) / shape)
                    x = math.pow(1.0 - shape + shape * y, 1.0 / shape)
                    if x <= v + y:
                        return x
        b = shape - 1.0 / 3.0
        c = 1.0 / math.sqrt(9 * b)
        while True:
            v = 0.0
            while v <= 0.0:
                x = self.normal()
                v = 1.0 + c * x
            v = v * v * v
            u = self.random()
            if u < 1.0 - 0.0331 * (x * x) * (x * x):
                return b * v
            if math.log(u) < 0.5 * x * x + b * (1.0 - v + math.log(v)):
                return b * v
