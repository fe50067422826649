"""What suite `scale` promises, from its results; and its tables."""

import statistics

from harness import bytes_model, ratio

RESOLUTION = 0.02


def rate(point):
    return point["window"]["output_tokens_per_second"]


def count_targets(sides, blocks):
    """Of the saturated blocks {side: figures}: what the count costs, and what the bytes predict."""
    few, some, many = (str(sides[name]) for name in ("few", "some", "many"))
    turns = ratio.Ratio([rate(b["many in turn"]) for b in blocks],
                        [rate(b["some in turn"]) for b in blocks])
    drawn = ratio.Ratio([rate(b["many"]) for b in blocks], [rate(b["few"]) for b in blocks])
    predicted = predicted_ratio(blocks)
    return [
        ratio.target(f"{many} adapters in turn ÷ {some} in turn, as many distinct in a step: "
                     "tokens/s", turns.value, 0.97, "higher", turns.half_width, RESOLUTION),
        ratio.target(f"{many} adapters ÷ {few}, uniform, by what the bytes predict "
                     f"({predicted:.3f}): tokens/s", drawn.value / predicted, 0.95, "higher",
                     drawn.half_width, RESOLUTION),
    ]


def predicted_ratio(blocks):
    return statistics.median(
        bytes_model.predicted_ratio(b["many"]["model"], b["few"]["model"]) for b in blocks)


def pool_targets(pairs, exceeding):
    """`pairs` and `exceeding`: {name: (unified, separate)}. At every point, and where adapters and
    KV together do not fit."""
    targets = []
    if pairs:
        shares = {name: pool_ratio(*pair) for name, pair in pairs.items()}
        worst = min(shares, key=lambda name: shares[name].value)
        targets.append(ratio.target(
            f"one pool ÷ two: tokens/s at the worst of {len(pairs)} points ({worst})",
            shares[worst].value, 0.97, "higher", shares[worst].half_width, RESOLUTION))
    for name, pair in exceeding.items():
        share = pool_ratio(*pair)
        targets.append(ratio.target(f"one pool ÷ two: tokens/s, {name}", share.value, 1.3,
                                    "higher", share.half_width, 0.1))
    return targets


def pool_ratio(unified, separate):
    """By the tokens of the same slices of the same trace."""
    slices = min(len(unified["slices"]), len(separate["slices"]))
    return ratio.Ratio(unified["slices"][:slices], separate["slices"][:slices])


def slices(records, begin, end, seconds):
    """Tokens a second in each slice of [begin, end) of a replay."""
    counts = [0] * int((end - begin) / seconds)
    for record in records:
        if record["first"] is None:
            continue
        _count(record["first"], record["tokens"] - len(record["gaps_ms"]), begin, seconds, counts)
        time = record["first"]
        for gap in record["gaps_ms"]:
            time += gap / 1000
            _count(time, 1, begin, seconds, counts)
    return [count / seconds for count in counts]


def _count(time, tokens, begin, seconds, counts):
    place = (time - begin) / seconds
    if 0 <= place < len(counts):
        counts[int(place)] += tokens


POINT_HEADINGS = ["point", "req/s", "tok/s", "attained", "ttft ms p50", "p95", "p99",
                  "itl ms p50", "p95", "p99", "with drain: req/s", "latency s", "ttft s",
                  "attained", "late ms"]


def point_row(name, point):
    window, whole = point["window"], point["whole"]
    return [name, window["requests_per_second"], window["output_tokens_per_second"],
            window["attainment"],
            *(window["ttft_ms"][p] for p in ("p50", "p95", "p99")),
            *(window["itl_ms"][p] for p in ("p50", "p95", "p99")),
            *([None] * 4 if point["cut"] else [
                whole["requests_per_second"], whole["latency_ms"]["mean"] / 1000,
                whole["ttft_ms"]["mean"] / 1000, whole["attainment"]]),
            point["late_ms"]["p99"]]


MODEL_HEADINGS = ["bytes of a step", "rows", "tokens", "adapters", "Σ rank", "KV MB", "LoRA MB",
                  "all MB", "step ms", "GB/s", "steps", "loads", "evictions", "preempted"]


def model_row(name, point):
    mean = point["model"]
    return [name, mean["rows"], mean["tokens"], mean["adapters"], mean["ranks"],
            mean["kv_bytes"] / 1e6, mean["adapter_bytes"] / 1e6, mean["bytes"] / 1e6,
            mean["step_ms"], mean["bytes"] / mean["step_ms"] / 1e6, mean["steps"],
            mean["loads"], mean["evictions"], mean["preemptions"]]
