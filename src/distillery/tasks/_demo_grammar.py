"""A seeded grammar that writes SYNTHETIC film reviews for the embedded demo task.

The data are synthetic: no row was written by a reviewer, no film, person or place named in it
is meant to exist, and no phrase was copied from any corpus. Figures measured on these rows say
that the pipeline works, not how well a model would do on real reviews.

Each polarity has two opinion lexicons. The "seen" one feeds every split; the "held-out" one
feeds only the unlabeled and the test rows, and many test rows use nothing else. A pretrained
teacher knows the held-out words, a student trained on the labelled rows alone cannot, and a
student distilled on the teacher's outputs over the unlabeled rows can learn them. Negation,
concession, reported opinions and irony keep the label from being a mere count of words.
"""

import random
import re
from collections.abc import Sequence

Row = tuple[str, int | None]
Lexicon = dict[str, list[tuple[str, ...]]]

NEGATIVE, POSITIVE = 0, 1


def _split(text: str) -> tuple[str, ...]:
    """Entries of a block, separated by bars or, where there are none, by commas."""
    return tuple(" ".join(entry.split()) for entry in text.split("|" if "|" in text else ","))


# Every lexicon: kind -> [negative entries, positive entries]. Kinds: "adj" (the plot is _),
# "noun" (the plot is _), "state" (it left me _), "verb" (the plot _), "advice" (a sentence).
SEEN: Lexicon = {
    "adj": [
        _split("""terrible, awful, bad, dull, boring, poor, weak, stupid, clumsy, lifeless, messy,
        flat, ugly, annoying, predictable, silly, shallow, cheap, stale, lazy, painful, hollow,
        dreary, wooden, pointless, disappointing, careless, bland, irritating, unconvincing"""),
        _split("""excellent, great, wonderful, brilliant, superb, beautiful, funny, clever, moving,
        charming, gripping, fresh, elegant, warm, lively, delightful, impressive, memorable,
        outstanding, inspired, witty, graceful, tender, smart, exciting, lovely, satisfying,
        convincing, powerful, splendid"""),
    ],
    "noun": [
        _split("""a failure, a mess, a disaster, a bore, a mistake, a disappointment, a chore,
        a flop, a waste of talent, a dead end"""),
        _split("""a triumph, a delight, a joy, a treasure, a success, a pleasure, a gem, a treat,
        a real achievement, a winner"""),
    ],
    "state": [
        _split("bored, angry, disappointed, annoyed, irritated, tired, cold, upset"),
        _split("happy, smiling, pleased, moved, excited, impressed, grateful, satisfied"),
    ],
    "verb": [
        _split("fails, drags, bores, disappoints, falls flat, suffers"),
        _split("works, shines, succeeds, charms, hits the mark, impresses"),
    ],
    "advice": [
        _split("""I would not recommend it to anyone, do not bother with it, I want my money back,
        save your evening for something else"""),
        _split("""I would recommend it to everyone, do not miss it, I want to own a copy,
        keep an evening free for it"""),
    ],
}
HELD_OUT: Lexicon = {
    "adj": [
        _split("""dreadful, horrible, atrocious, abysmal, appalling, horrendous, lousy, pathetic,
        pitiful, laughable, ridiculous, ludicrous, tedious, monotonous, tiresome, plodding,
        sluggish, mind numbing, insufferable, unbearable, excruciating, unwatchable, incoherent,
        muddled, disjointed, clunky, awkward, inept, amateurish, sloppy, shoddy, botched,
        uninspired, unimaginative, derivative, formulaic, cliched, banal, generic, mediocre,
        forgettable, insipid, vapid, superficial, soulless, drab, tacky, tasteless, vulgar,
        obnoxious, grating, cringeworthy, embarrassing, offensive, repulsive, disgusting,
        revolting, nauseating, insulting, pretentious, pompous, bloated, contrived, implausible,
        nonsensical, senseless, idiotic, moronic, brainless, dumb, inane, childish, unfunny,
        joyless, depressing, dismal, miserable, feeble, flimsy, inferior, second rate, unpleasant,
        frustrating, infuriating, maddening, worthless, useless, inadequate, rotten, stilted"""),
        _split("""riveting, fantastic, amazing, terrific, magnificent, marvellous, fabulous,
        captivating, enchanting, dazzling, stunning, gorgeous, hilarious, touching, heartwarming,
        uplifting, thrilling, absorbing, engrossing, compelling, engaging, fascinating,
        mesmerising, spellbinding, breathtaking, exquisite, sublime, masterful, flawless,
        impeccable, exceptional, extraordinary, remarkable, phenomenal, incredible, glorious,
        radiant, imaginative, inventive, original, ingenious, refreshing, vibrant, sparkling,
        energetic, spirited, exhilarating, electrifying, suspenseful, entertaining, amusing,
        adorable, endearing, irresistible, delicious, soulful, poignant, heartfelt, sincere,
        authentic, believable, nuanced, intelligent, insightful, profound, rewarding,
        unforgettable, astonishing, admirable, accomplished, first rate, world class, sumptuous,
        seductive, joyful, playful, cheerful, lyrical, stirring, rousing, magical, timeless,
        genuine, perfect, fun, sophisticated, skilful, inspiring, awesome, stylish"""),
    ],
    "noun": [
        _split("""a slog, a catastrophe, a fiasco, a travesty, a nightmare, an ordeal, a snooze,
        a dud, a letdown, an insult, an embarrassment, a shambles, a train wreck, torture, garbage,
        rubbish, trash, drivel, a debacle, an eyesore, a headache, pure agony, nonsense,
        a blunder, a disgrace"""),
        _split("""a masterpiece, a marvel, a wonder, a knockout, a revelation, a blessing,
        a classic, a feast, a thrill, a tour de force, a work of genius, pure magic, a home run,
        a jewel, sheer bliss, a highlight, a miracle, a landmark, a victory, perfection, a dream,
        a sensation, a celebration, a blast, a masterclass"""),
    ],
    "state": [
        _split("""disgusted, appalled, exhausted, infuriated, frustrated, exasperated, dismayed,
        horrified, insulted, cheated, numb, yawning, fuming, weary, depressed, cringing, groaning,
        unimpressed, dissatisfied, outraged, fed up, robbed, furious, disheartened, deflated"""),
        _split("""mesmerised, enchanted, thrilled, delighted, captivated, spellbound, enthralled,
        overjoyed, elated, dazzled, uplifted, entranced, fascinated, charmed, amazed, ecstatic,
        touched, exhilarated, refreshed, awestruck, hooked, beaming, cheering, euphoric,
        energised"""),
    ],
    "verb": [
        _split("""stumbles, collapses, flounders, plods, grates, stinks, falters, sags, annoys,
        unravels, fizzles, backfires, falls apart, misfires, irritates"""),
        _split("""sparkles, soars, dazzles, captivates, excels, enthrals, delights, thrills,
        triumphs, mesmerises, sings, enchants, amazes, fascinates, entertains"""),
    ],
    "advice": [
        _split("""avoid it at all costs, steer clear, give it a miss, skip this one,
        one star from me, two hours I will never get back, ask for a refund"""),
        _split("""run to the cinema, buy a ticket today, I could watch it every week,
        worth every penny, five stars from me, I cannot praise it enough, a must see"""),
    ],
}
_WEIGHTS = {"adj": 60, "noun": 16, "state": 14, "verb": 10}
_NEGATED_SHARE = 0.12  # of the clauses
_FORMS = {"contrast": 20, "agree": 40, "question": 8, "remark": 12, "plain": 20}

# How an opinion is put: {a} is an aspect, {x} an entry of the lexicon.
_PLAIN = {
    "adj": _split("""the {a} is {x} | the {a} feels {x} throughout | I found the {a} {x} | the
        {a} struck me as {x} | the {a} is plainly {x} | I cannot get over how {x} the {a} is | the
        {a} is {x} through and through | the {a} is both {x} and {x2}"""),
    "noun": _split("""the {a} is {x} | the {a} amounts to {x} | I can only call the {a} {x}"""),
    "state": _split("""the {a} left me {x} | by the credits I was {x} | thanks to the {a} I went
        home {x}"""),
    "verb": _split("""the {a} {x} | the {a} {x} whenever it matters | it is clear that the {a}
        {x}"""),
}
_NEGATED = {
    "adj": _split("""the {a} is never {x} | the {a} is anything but {x} | the {a} is far from {x}
        | there is not a moment of the {a} I would call {x} | nobody could call the
        {a} {x} | there is nothing {x} about the {a} | the {a} is not {x} in the
        least | at no point is the {a} {x}"""),
    "noun": _split("""the {a} is not {x} by any measure | nobody could call the {a} {x} | the {a}
        is anything but {x}"""),
    "state": _split("""the {a} never left me {x} | not for a minute was I {x} | at no point was I
        {x}"""),
    "verb": _split("""the {a} never {x} | at no point would I say that the {a} {x}"""),
}
# {m} the minor clause (against the verdict), {c} and {d} clauses that agree with the verdict.
_AGREE = _split("""{c}, and {d}. | {c}; {d}. | {c}. On top of
    it, {d}.""")
_CONTRAST = _split("""{m}, but what decides the matter is that {c}. | Granted, {m}, yet {c}. |
    Although {m}, in the end {c}. | It may be true that {m}; what counts is that
    {c}. | A friend insists that {m}, and I could not disagree more: {c}. | The
    poster promises that {m}, but no: {c}. | {m}, which hardly matters, because
    {c}. | I had read that {m}; quite the opposite, {c}.""")
_DENIED = _split("""Not for a minute. | Hardly. | Not in my book. | Quite the reverse. | No
    chance.""")
_AFFIRMED = _split("""Yes, and then some. | Very much so. | In my book, yes. | Without a doubt.""")
_IRONY = _split("""if you enjoy watching paint dry, if your idea of a night out is a dentist,
    provided you sleep through it, said nobody who stayed awake, if you like
    counting ceiling tiles, compared with a parking ticket, for anyone who finds
    traffic jams too short, or so the director's mother must believe, assuming you
    have never seen a film before, if you leave before it starts""")
_SINCERE = _split("""even for someone who seldom goes out, from the first minute to the last,
    whichever version you happen to see, even on a small screen, and I have seen it twice,
    and I say so after a night's sleep, on the second viewing as on the first,
    whatever the trailer may suggest, even if you know the book""")
_VERDICT = _split("""All in all, {c}. | My verdict: {c}. | In short, {c}. | Taken together, {c}.
    | When all is said, {c}. | So, to sum up, {c}.""")
_VERDICT_FIRST = ("Let me say it at once: {c}.", "To begin with the verdict, {c}.")
_ASPECTS = _split("""plot, story, acting, lead performance, supporting cast, soundtrack, score,
    pacing, camera work, editing, dialogue, script, ending, opening, direction, set design,
    costume design, humour, romance, narration, lighting, sound mix, final act, middle section,
    photography, fight choreography, closing song, love story, voice work, second half""")
_WHOLE = ("film", "movie", "picture", "whole film", "film as a whole", "whole thing")
_WHEN = _split("""last Friday, on a rainy Sunday, on a Tuesday night, over the holidays,
    after work, during a long flight, in early spring, the week it came out""")
_WHERE = _split("""at the cinema round the corner, on my laptop, at home, at a small festival,
    in a half full theatre, on a borrowed projector, in the student union, at an open air show""")
_WHOM = _split("""my sister, two colleagues, my father, the neighbours, an old classmate,
    my flatmate, our film club, an aunt, both of my cousins, a friend from Leeds""")
_WHO = _split("""a nurse, a retired sailor, a young cellist, a student, a taxi driver,
    a village teacher, a customs officer, a clockmaker, a widowed farmer, a night porter""")
_DOES = _split("""sets out to find a missing letter, inherits a hotel, takes over a bakery,
    moves back to the family house, shares a train compartment with a stranger, plans a robbery,
    searches for an old rival, agrees to guard a locked room, drives a van across the border""")
_PLACE = _split("""in a harbour town, in the north of Norway, in Lisbon, during the seventies,
    on an island, near the Polish border, in a mining valley, over one summer, in a tower block""")
_FIRST = _split("Anna, Tomas, Ruth, Ivo, Clara, Denis, Marta, Henry, Lena, Oskar, Paula, Samir")
_LAST = _split(
    "Bellweg, Carrow, Dunmere, Eskola, Farrant, Holub, Ketter, Lindqvist, Morvane, Tarsk"
)
_ROLE = _split("""the inspector, the older sister, the landlord, the doctor, the mayor,
    the neighbour, the grandfather, the pilot, the lawyer, the girl next door""")
_FILLER = (  # a review takes at most one sentence of each group
    _split("""I watched it {when} {where} with {whom}. | We saw it {where} {when}. |
        {whom} had picked it, and we went {when}."""),
    _split("""It is about {who} who {does} {place}. | In it, {who} {does} {place}. |
        The story takes place {place}."""),
    _split("""{first} {last} plays {role}, and {first2} {last2} is {role2}. |
        {first} {last} directed it {place}. | It runs for {n} minutes."""),
)


class _Writer:
    """Writes reviews from one random source."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.held_out = 0.0  # the share of opinion words drawn from the held-out lexicon

    def word(self, kind: str, polarity: int) -> str:
        """An entry of that kind and polarity, seen or held out."""
        lexicon = HELD_OUT if self.rng.random() < self.held_out else SEEN
        return self.rng.choice(lexicon[kind][polarity])

    def clause(self, polarity: int, aspects: Sequence[str] = _ASPECTS) -> str:
        """A clause, without a full stop, whose opinion is `polarity`; often by negation."""
        kind = self.rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        negated = self.rng.random() < _NEGATED_SHARE
        template = self.rng.choice((_NEGATED if negated else _PLAIN)[kind])
        wanted = 1 - polarity if negated else polarity
        return template.format(
            a=self.rng.choice(aspects), x=self.word(kind, wanted), x2=self.word(kind, wanted)
        )

    def opinion(self, polarity: int) -> str:
        """One sentence or two in the body of a review, in favour of the verdict `polarity`."""
        rng = self.rng
        form = rng.choices(list(_FORMS), list(_FORMS.values()))[0]
        if form == "contrast":
            template = rng.choice(_CONTRAST)
            return template.format(m=self.clause(1 - polarity), c=self.clause(polarity))
        if form == "agree":
            return rng.choice(_AGREE).format(c=self.clause(polarity), d=self.clause(polarity))
        if form == "question":
            denied = rng.random() < 0.5
            word = self.word("adj", 1 - polarity if denied else polarity)
            return f"{word}? {rng.choice(_DENIED if denied else _AFFIRMED)}"
        if form == "remark":
            if polarity == NEGATIVE and rng.random() < 0.6:
                return f"{self.word('adj', POSITIVE)}, {rng.choice(_IRONY)}."
            return f"{self.word('adj', polarity)}, {rng.choice(_SINCERE)}."
        return self.clause(polarity) + "."

    def filler(self, group: int) -> str:
        """A sentence without any opinion."""
        rng = self.rng
        first, first2 = rng.sample(_FIRST, 2)
        last, last2 = rng.sample(_LAST, 2)
        role, role2 = rng.sample(_ROLE, 2)
        return rng.choice(_FILLER[group]).format(
            when=rng.choice(_WHEN),
            where=rng.choice(_WHERE),
            whom=rng.choice(_WHOM),
            who=rng.choice(_WHO),
            does=rng.choice(_DOES),
            place=rng.choice(_PLACE),
            first=first,
            last=last,
            role=role,
            first2=first2,
            last2=last2,
            role2=role2,
            n=rng.randrange(80, 170),
        )

    def review(self, polarity: int) -> str:
        """A whole review whose overall verdict is `polarity`."""
        rng = self.rng
        body = [self.opinion(polarity)]
        if rng.random() < 0.25:
            body.append(self.filler(rng.randrange(len(_FILLER))))
        rng.shuffle(body)
        ending = rng.random()
        if ending < 0.15:
            body.append(self.word("advice", polarity) + ".")
        elif ending < 0.55:
            first = rng.random() < 0.2
            verdict = rng.choice(_VERDICT_FIRST if first else _VERDICT)
            body.insert(0 if first else len(body), verdict.format(c=self.clause(polarity, _WHOLE)))
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in body)


def key(text: str) -> str:
    """The text without case and everything but letters and digits; unique in the data."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


# Per split: how often a row has no, some or only held-out opinion words.
_MIX = {"train": (1.0, 0.0, 0.0), "unlabeled": (0.1, 0.3, 0.6), "test": (0.6, 0.25, 0.15)}


def generate(seed: int, train: int, unlabeled: int, test: int) -> dict[str, list[Row]]:
    """Rows (text, label) for "train", "unlabeled" and "test"; deterministic in `seed`.

    A label is 0 (negative) or 1 (positive), None for unlabeled rows. No text repeats, within a
    split or across splits, under `key`; train and test are balanced.
    """
    writer = _Writer(random.Random(seed))
    taken: set[str] = set()
    data: dict[str, list[Row]] = {}
    for split, size in (("train", train), ("unlabeled", unlabeled), ("test", test)):
        rows: list[Row] = []
        while len(rows) < size:
            polarity = len(rows) % 2
            writer.held_out = writer.rng.choices((0.0, 0.6, 1.0), _MIX[split])[0]
            text = writer.review(polarity)
            if 8 <= len(text.split()) <= 32 and key(text) not in taken:
                taken.add(key(text))
                rows.append((text, None if split == "unlabeled" else polarity))
        writer.rng.shuffle(rows)
        data[split] = rows
    return data
