"""What suite `scale` promises, from its results; and its tables."""

from harness import bytes_model, duel, ratio

RESOLUTION = 0.02


def compare(found):
    """Of a duel's figures."""
    return duel.compare(*(side["turns"] for side in found))


def count_targets(sides, count):
    """Of the duels {"in turn", "uniform"}: what the count costs, and what the bytes predict."""
    few, some, many = (str(sides[name]) for name in ("few", "some", "many"))
    turns, drawn = compare(count["in turn"]), compare(count["uniform"])
    predicted = bytes_model.predicted_ratio(*(side["model"] for side in count["uniform"]))
    return [
        ratio.target(f"{many} adapters in turn ÷ {some} in turn, as many distinct in a step: "
                     "tokens/s", turns.value, 0.97, "higher", turns.half_width, RESOLUTION),
        ratio.target(f"{many} adapters ÷ {few}, uniform, by what the bytes predict "
                     f"({predicted:.3f}): tokens/s", drawn.value / predicted, 0.95, "higher",
                     drawn.half_width, RESOLUTION),
    ]


def lowest(duels):
    """The name of the one with the lowest ratio."""
    return min(duels, key=lambda name: compare(duels[name]).value)


def pool_targets(pools, again, exceeding):
    """{name: duel of one pool and two}: at every point, those that were the lowest of a stage once
    more, and where adapters and KV together do not fit."""
    targets = []
    if again:
        name = lowest(again)
        share = compare(again[name])
        targets.append(ratio.target(
            f"one pool ÷ two: tokens/s at the lowest of {len(pools)} points, measured once more "
            f"({name})", share.value, 0.97, "higher", share.half_width, RESOLUTION))
    for name, found in exceeding.items():
        share = compare(found)
        targets.append(ratio.target(f"one pool ÷ two: tokens/s, {name}", share.value, 1.3,
                                    "higher", share.half_width, 0.1))
    return targets


DUEL_HEADINGS = ["rows/s ÷", "± %", "turns", "rows/s", "and", "step ms", "and", "Σ rank", "and",
                 "loads", "and", "rows again", "and"]


def duel_row(name, found):
    share = compare(found)
    return [name, share.value, 100 * share.half_width, share.blocks,
            *(value for field in ("rows_per_second", "step_ms", "ranks", "loads", "recomputed")
              for value in (side["model"][field] for side in found))]


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
