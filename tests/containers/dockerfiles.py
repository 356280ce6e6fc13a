"""A Dockerfile as a list of instructions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY`, and what stands behind it on one line."""

    word: str
    text: str

    @property
    def arguments(self) -> list[str]:
        """Of its exec form. Raises ValueError for the shell form."""
        given = json.loads(self.text)
        if not isinstance(given, list) or not all(isinstance(part, str) for part in given):
            raise ValueError(f"{self.word} is not in exec form")
        return given


@dataclass(frozen=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        kept = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        lines = re.sub(r"\\\n\s*", "", "\n".join(kept)).splitlines()
        return cls(tuple(Instruction(word, text.strip()) for word, _, text in (line.partition(" ") for line in lines)))

    def all(self, word: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.word == word]

    def last(self, word: str) -> Instruction:
        """The one that holds in the image. Raises IndexError if there is none."""
        return self.all(word)[-1]

    def stages(self) -> list[list[Instruction]]:
        """The instructions of each stage, from its FROM on."""
        begins = [number for number, instruction in enumerate(self.instructions) if instruction.word == "FROM"]
        return [list(self.instructions[begin:end]) for begin, end in zip(begins, [*begins[1:], None], strict=True)]

    def copied(self) -> list[str]:
        """What is copied out of the build context."""
        return [
            source
            for copy in self.all("COPY")
            if not copy.text.startswith("--from=")
            for source in copy.text.split()[:-1]
        ]

    def environment(self) -> dict[str, str]:
        """What ENV of the last stage sets."""
        pairs = [
            pair for instruction in self.stages()[-1] if instruction.word == "ENV" for pair in instruction.text.split()
        ]
        return dict(pair.split("=", 1) for pair in pairs)

    def health(self) -> list[str]:
        """The command of HEALTHCHECK."""
        return Instruction("HEALTHCHECK", self.last("HEALTHCHECK").text.partition("CMD ")[2]).arguments

    def command(self) -> list[str]:
        """What a container runs unless it is told otherwise."""
        return self.last("ENTRYPOINT").arguments + self.last("CMD").arguments
