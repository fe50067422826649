"""What Llama-3-8B's steps on a GPU are held to, and how a report of the bundle's ./measure meets it.

A ratio is that of our own step with adapters to our own step without: over a slow base it flatters,
so it is not resolved while the base is under 70 % of its floor. Floors are taken with the read
bandwidth and the rate of products that the same process measured.
"""

from harness import ratio

STEPS = "steps-llama-3-8b"

MIN_BASE_SHARE = 0.70
RATIOS = (  # case, limit, half-width that resolves it
    ("64 rows, 0 of 64 x r16 all", 1.005, 0.002),
    ("64 rows, 1 x r16 all", 1.06, 0.01),
    ("64 rows, 16 x r16 all", 1.15, 0.01),
    ("64 rows, 64 x r16 qkvo", 1.12, 0.01),
    ("64 rows, 64 x r16 all", 1.35, 0.01),
    ("prefill of 2048, 8 x r16 qkvo", 1.05, 0.01),
    ("prefill of 2048, 8 x r16 all", 1.12, 0.01),
)
BASE_SHARES = (("1 rows, 1 x r16 all", 0.80), ("64 rows, 1 x r16 all", 0.75))
LORA_CASE, LORA_SHARE = "64 rows, 64 x r16 all", 0.65


def ratio_target(case, limit, resolution):
    r = ratio.Ratio(case["with_adapters"]["blocks_us"], case["base"]["blocks_us"])
    found = ratio.target(f'{case["name"]} ÷ base', r.value, limit, "lower", r.half_width,
                         resolution)
    found["floor"] = case["floor_ratio"]
    found["base_share"] = case["base"]["share"]
    if found["base_share"] < MIN_BASE_SHARE:
        found["met"] = None
        found["note"] = f'the base is at {100 * found["base_share"]:.0f} % of its floor'
    return found


def share_target(case, limit):
    return ratio.target(f'{case["name"].partition(",")[0]}, base: floor ÷ step',
                        case["base"]["share"], limit, "higher")


def measured_cases(report, part):
    """{case's name: what was measured} of a part of STEPS: "cases" or "lora"."""
    for measurement in report["measurements"]:
        if measurement["name"] == STEPS and measurement["measured"]:
            return {case["name"]: case for case in measurement["measured"].get(part, [])}
    return {}


def targets(report):
    """Targets of what was measured, and the names of the cases that were not."""
    steps, lora = measured_cases(report, "cases"), measured_cases(report, "lora")
    found, missing = [], []
    for wanted, make in (
            *((name, lambda case, a=(limit, width): ratio_target(case, *a))
              for name, limit, width in RATIOS),
            *((name, lambda case, a=limit: share_target(case, a)) for name, limit in BASE_SHARES)):
        case = steps.get(wanted, {})
        if "base" in case:
            found.append(make(case))
        else:
            missing.append(f'{wanted}: {case.get("skipped", "not measured")}')
    if "share" in lora.get(LORA_CASE, {}):
        found.append(ratio.target("LoRA alone, 64 x r16 all: bytes ÷ time ÷ read bandwidth",
                                  lora[LORA_CASE]["share"], LORA_SHARE, "higher"))
    else:
        missing.append(f"LoRA alone, {LORA_CASE}: not measured")
    return found, missing
