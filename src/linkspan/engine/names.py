"""Names for containers that were given none: an adjective and a harbour."""

import random
from collections.abc import Container

_ADJECTIVES = """
agile amber ample bold brave breezy bright brisk calm candid civil clear clever coastal cosy crisp daring deep eager early easy
elated fair fast fine firm fleet fluent fond frank fresh gallant gentle glad golden grand happy hardy honest humble jolly keen
kind lively lucid lucky mellow merry mild modest neat nimble noble open patient placid plucky polite proud quick quiet rapid ready
rested roaming robust rosy sandy serene sharp silent silver sleek smooth snug sober solid spry steady still stoic sunny swift
tidal tidy tranquil trim true upbeat vivid warm wise witty zesty
""".split()

_HARBOURS = """
aarhus aberdeen algeciras amsterdam antwerp ashdod auckland balboa baltimore barcelona bari bergen bilbao brest bremerhaven
brindisi busan cadiz calais callao cardiff cartagena cebu cherbourg colombo constanta cork dakar dieppe douglas dover dublin
durban felixstowe gdansk gdynia genoa ghent gijon gothenburg halifax hamburg harwich helsinki holyhead hull izmir jebelali
kaohsiung keelung kiel klaipeda kobe larne lerwick liepaja lisbon liverpool livorno lome luanda lulea malmo manila marseille
melbourne mombasa montevideo nantes naples narvik oban odense oslo ostend osaka palermo penang piraeus plymouth portsmouth pula
qingdao ravenna riga rijeka rosslare rostock rotterdam salerno santos savannah seattle setubal shenzhen sines singapore split
stavanger stornoway stranraer tacoma tallinn tanger tarragona tilbury trieste tromso turku ullapool valencia valparaiso varna
venice vigo xiamen yokohama zadar zeebrugge
""".split()


def new_name(taken: Container[str]) -> str:
    """Return a name that is not taken, with a number behind it if luck runs out."""
    for _ in range(10):
        name = _pick()
        if name not in taken:
            return name
    while (name := f"{_pick()}{random.randrange(10**6)}") in taken:  # noqa: S311  a name, not a secret
        pass
    return name


def _pick() -> str:
    return f"{random.choice(_ADJECTIVES)}_{random.choice(_HARBOURS)}"  # noqa: S311  a name, not a secret
