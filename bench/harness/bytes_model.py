"""What a step has to read, and what follows for throughput where reading is all that takes time.

  bytes of a step = weights + KV of its tokens + Σ over its distinct adapters of rank · bytes a rank

all but the weights as the engine counted them, step by step (chorus_engine_step_*_total).
"""

ROWS = "chorus_engine_step_rows_total"
RECOMPUTED = "chorus_engine_recomputed_tokens_total"
PAGES = "chorus_engine_step_pages_total"
ADAPTERS = "chorus_engine_step_adapters_total"
RANKS = "chorus_engine_step_ranks_total"
STEPS = "chorus_engine_steps_total"
SECONDS = "chorus_engine_step_seconds_total"
TOKENS = "chorus_engine_generation_tokens_total"
LOADS = 'chorus_adapter_loads_total{result="loaded"}'
EVICTIONS = "chorus_adapter_evictions_total"
PREEMPTIONS = "vllm:num_preemptions"  # and its labels


def figures(before, after, weight_bytes, page_bytes, rank_bytes):
    """Of a mean step between two readings of the counters."""
    def grown(name):
        return after[name] - before[name]
    steps = grown(STEPS)
    if steps <= 0:
        raise ValueError("bytes model: no step between the readings")
    mean = {name: grown(counter) / steps for name, counter in (
        ("rows", ROWS), ("recomputed", RECOMPUTED), ("tokens", TOKENS), ("adapters", ADAPTERS),
        ("ranks", RANKS))}
    mean["steps"] = steps
    mean["step_ms"] = 1000 * grown(SECONDS) / steps
    mean["steps_per_second"] = steps / (after["time"] - before["time"])
    mean["kv_bytes"] = grown(PAGES) / steps * page_bytes
    mean["adapter_bytes"] = mean["ranks"] * rank_bytes
    mean["bytes"] = weight_bytes + mean["kv_bytes"] + mean["adapter_bytes"]
    return mean


def mean_step(before, after, status, rank_bytes):
    """figures() by a server's status, and what came and went between the readings."""
    mean = figures(before, after, status["weight_bytes"],
                   status["pool_bytes"] / status["pool_pages"], rank_bytes)
    for name, counter in (("loads", LOADS), ("evictions", EVICTIONS)):
        mean[name] = after[counter] - before[counter]
    mean["preemptions"] = sum(after[name] - before[name] for name in after
                              if name.startswith(PREEMPTIONS))
    return mean


def predicted_ratio(above, below):
    """Rows a second of `above` ÷ those of `below`, if a step takes as long as its bytes."""
    return (above["rows"] / above["bytes"]) / (below["rows"] / below["bytes"])
