"""The page that lists all published data sets whose facts are known."""

from __future__ import annotations

from itertools import groupby

from omiga_torchrl.data import published_dataset, published_datasets


def published_page() -> str:
    """One table a family."""
    parts = [
        "# Published data sets\n\nWritten from `published_datasets()`. *direct*: `download(name)` fetches it. Numbers are "
        "those that were published or counted; an empty cell is not known.\n"
    ]
    for family, names in groupby(published_datasets(), key=lambda name: name.partition(":")[0]):
        cards = [published_dataset(name) for name in names]
        rows = []
        for card in cards:
            facts = card.statistics or {}
            count, mean = facts.get("transitions"), facts.get("return_mean")
            direct = "direct" if any(link.kind == "direct" for link in card.sources) else "by hand"
            rows.append(
                f"| `{card.name}` | {card.task or ''} | {card.layout} | {'' if count is None else f'{count:,}'} | "
                f"{'' if mean is None else f'{mean:g}'} | {direct} |"
            )
        pages = dict.fromkeys(link.url for card in cards for link in card.sources if link.kind == "page")
        sources = ", ".join(f"[{url.split('/')[2]}]({url})" for url in list(pages)[:4])
        head = "| name | task | layout | transitions | mean return | |\n|---|---|---|---|---|---|"
        citations = dict.fromkeys(card.citation for card in cards if card.citation)
        parts.append(
            f"## {family}\n\n{len(cards)} sets; {'; '.join(list(citations)[:2])}. Sources: {sources}.\n\n"
            + "\n".join([head, *rows])
            + "\n"
        )
    return "\n".join(parts)
