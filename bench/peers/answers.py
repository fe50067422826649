"""Whether a system answers with what the model says: its tokens against the greedy ones of PEFT in
f32, each request alone.

Systems that compute in bf16 part from these where two tokens are about as likely. So a token other
than the oracle's is a near tie if the oracle gave it a logit within NEAR of its own; what follows is
another text and is not compared. Any other token is wrong."""

from peers import trace

NEAR = 0.5    # logits
BEST = 50     # tokens of each step whose logits the oracle tells
MAX_TOKENS = 16
NUM_ADAPTERS = 3
TEXTS = (
    "The capital of France is a city that",
    "Once upon a time there was a small server which",
    "The three most important rules of cooking are",
    "Water boils when",
)


def judge(tokens, oracle):
    """"same", "near tie" or "wrong"; a token of None is one that was not told."""
    if len(tokens) != len(oracle["tokens"]):
        return "wrong"
    for token, wanted, best in zip(tokens, oracle["tokens"], oracle["best"]):
        if token not in (wanted, None):
            logits = dict(map(tuple, best))
            near = logits.get(token, float("-inf")) >= logits[wanted] - NEAR
            return "near tie" if near else "wrong"
    return "same"


class Check:
    """Every text, of the base and of some adapters."""

    def __init__(self, oracle):
        """`oracle` is PEFT's server."""
        models = [None, *map(trace.adapter, range(NUM_ADAPTERS))]
        prompts = oracle.encode(TEXTS)
        self._asked = [(ids, model) for ids in prompts for model in models]
        self._oracles = oracle.oracle([ids for ids, _ in self._asked],
                                      [model for _, model in self._asked], MAX_TOKENS, BEST)

    def degenerate(self):
        """Adapters with an answer that is the base's: they would prove little."""
        base = {tuple(ids): oracle["tokens"]
                for (ids, model), oracle in zip(self._asked, self._oracles) if model is None}
        return sorted({model for (ids, model), oracle in zip(self._asked, self._oracles)
                       if model is not None and oracle["tokens"] == base[tuple(ids)]})

    def of(self, server, has_adapters):
        """{how: {verdict: count}}: each request alone; requests together, of the base if there are
        no adapters, else of adapters; and in one batch those of the base and of adapters."""
        chosen = [one for one in zip(self._asked, self._oracles)
                  if has_adapters or one[0][1] is None]
        verdicts = {"alone": self._judged(server, chosen, 1)}
        if not has_adapters:
            verdicts["together"] = self._judged(server, chosen, len(chosen))
            return {how: tally(found) for how, found in verdicts.items()}
        by_text = {}
        for one in chosen:
            by_text.setdefault(tuple(one[0][0]), []).append(one)
        for how, first in (("together", 1), ("base among adapters", 0)):  # the base comes first
            verdicts[how] = [verdict for group in by_text.values() for verdict in
                             self._judged(server, group[first:], len(group))]
        return {how: tally(found) for how, found in verdicts.items()}

    @staticmethod
    def _judged(server, chosen, concurrency):
        outputs = server.answers([ids for (ids, _), _ in chosen],
                                 [model for (_, model), _ in chosen], MAX_TOKENS, concurrency)
        return [judge(tokens, oracle) for tokens, (_, oracle) in zip(outputs, chosen)]


def tally(verdicts):
    return {word: verdicts.count(word) for word in ("same", "near tie", "wrong")}
