"""The scripted LLM's script: which turn a conversation has reached."""

import pytest

from tests.llm.script import Item, Script, ScriptEndedError, fails, says


def user(text: str = "") -> Item:
    """Somebody else than the model: a person, a tool result, an image."""
    return Item(by_model=False, text=text)


MODEL = Item(by_model=True, text="said")


@pytest.mark.parametrize(
    ("conversation", "turn"),
    [
        ([user("go")], 0),
        ([user("go"), MODEL, user()], 1),
        ([user("go"), MODEL, MODEL, MODEL, user()], 1),
        ([user("go"), MODEL, user(), user(), user("an image")], 1),
        ([user("go"), MODEL, user(), MODEL, user()], 2),
    ],
)
def test_consecutive_items_of_the_model_are_one_speech(conversation: list[Item], turn: int) -> None:
    assert Script([says("x")]).position_of(conversation).turn == turn


def test_the_latest_instruction_counts_and_turns_start_over_with_it() -> None:
    script = Script({"first": [says("a")], "second": [says("b")]})

    position = script.position_of([user("the first"), MODEL, user("the second"), MODEL, user()])

    assert (position.instruction, position.turn) == ("second", 1)


def test_of_two_instructions_in_one_text_the_longer_is_meant() -> None:
    script = Script({"add": [says("a")], "add numbers": [says("b")]})

    assert script.position_of([user("please add numbers")]).instruction == "add numbers"


def test_attempts_at_one_turn_go_through_its_list_and_stay_at_the_last() -> None:
    script = Script([[fails(429), fails(500), says("ok")]])
    position = script.position_of([user("go")])

    given = [script.next(position)[0] for _ in range(4)]

    assert [turn.status for turn in given] == [429, 500, None, None]


def test_a_script_that_is_over_says_so() -> None:
    script = Script([says("only")])

    with pytest.raises(ScriptEndedError):
        script.next(script.position_of([user("go"), MODEL, user()]))
