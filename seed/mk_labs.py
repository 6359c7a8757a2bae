"""Tests of a sample personal health record, their results and files, and what they have to do with problems."""

from __future__ import annotations

from seed import dirt
from seed.dirt import sometimes
from seed.mk_record import COMPONENTS, CONDITIONS, LABS, changed, coded, pick, seen_by, tags
from seed.mk_words import IMAGES, PANELS
from seed.practice import Practice, Row

FILES = (("application/pdf", "pdf"), ("image/png", "png"), ("image/jpeg", "jpg"), ("pdf", "pdf"))


def is_image(test: int) -> bool:
    """Every sixth test gives a report and no numbers."""
    return test % 6 == 0


def status_of(test: int) -> str:
    """The state of a test, from its number alone: its results know it too."""
    return {1: "ordered", 2: "in_progress", 3: "cancelled"}.get(test % 20, "completed")


def lab_result(practice: Practice, number: int, patient: int) -> Row:
    random, status = practice.random, status_of(number)
    name, code, category = IMAGES[number // 6 % len(IMAGES)] if is_image(number) else PANELS[number % len(PANELS)][:3]
    done = practice.dirty_day(practice.day(600, 5)) if status == "completed" else None
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice),
        "test_name": name,
        "test_code": practice.maybe(0.9, code),
        "test_category": category,
        "test_type": pick(practice, number, ("routine", "routine", "emergency", "follow-up", "screening")),
        "facility": practice.maybe(0.7, "City Laboratory"),
        "status": sometimes(random, 0.005, status, dirt.unknown_code),
        "labs_result": practice.maybe(0.8, pick(practice, number, ("normal", "abnormal"))) if done else None,
        "ordered_date": practice.dirty_day(practice.day(900, 610)),
        "completed_date": done,
        "notes": practice.maybe(0.2, "Fasting since midnight."),
        "tags": tags(practice),
        **changed(practice),
    }


def component(practice: Practice, number: int, _: int) -> Row:
    """Three results for each test; those of tests without any belong to the one before."""
    random, test = practice.random, (number - 1) // COMPONENTS + 1
    test = test - 1 if is_image(test) or status_of(test) == "ordered" else test
    name, short, code, mean, spread, unit, low, high, category = PANELS[test % len(PANELS)][3][number % COMPONENTS]
    value = round(abs(random.gauss(mean, spread)), 1)
    return {
        "lab_result_id": max(1, test) if random.random() > 0.002 else 10**7,
        "test_name": name,
        "abbreviation": practice.maybe(0.8, short),
        "test_code": practice.maybe(0.7, sometimes(random, 0.03, code, dirt.unknown_code)),
        "value": value,
        "unit": sometimes(random, 0.02, unit, dirt.unknown_code, dirt.spaces),
        "ref_range_min": practice.maybe(0.9, low),
        "ref_range_max": practice.maybe(0.9, high),
        "ref_range_text": practice.maybe(0.1, f"{low} to {high}"),
        "status": pick(practice, number, _meant(value, mean, spread, low, high)),
        "category": category,
        "display_order": number % COMPONENTS,
        "notes": practice.maybe(0.03, "Measured twice."),
        **changed(practice),
    }


def _meant(value: float, mean: float, spread: float, low: float, high: float) -> tuple[str, ...]:
    """What is said of a value: that it is far out, when it is."""
    if abs(value - mean) > 2.5 * spread and not low <= value <= high:
        return ("critical",)
    return ("high",) if value > high else ("low",) if value < low else ("normal",)


def result_file(practice: Practice, number: int, patient: int) -> Row:
    kind, ending = pick(practice, number, FILES)
    return {
        "lab_result_id": LABS * (patient - 1) + 1,
        "file_name": f"result-{number}.{ending}",
        "file_path": f"/app/uploads/lab_results/result-{number}.{ending}",
        "file_type": sometimes(practice.random, 0.03, kind, dirt.unknown_code),
        "file_size": practice.maybe(0.9, practice.random.randint(20_000, 15_000_000)),
        "description": practice.maybe(0.3, "As it came by mail"),
        "uploaded_at": practice.moment(practice.day(500)),
    }


def lab_of_condition(practice: Practice, _: int, patient: int) -> Row:
    return {
        "lab_result_id": LABS * (patient - 1) + practice.random.randint(1, LABS),
        "condition_id": CONDITIONS * (patient - 1) + practice.random.randint(1, CONDITIONS),
        "relevance_note": practice.maybe(0.6, "Shows how well it is controlled"),
        **changed(practice),
    }


def medication_of_condition(practice: Practice, number: int, patient: int) -> Row:
    """Patients have as many medications as problems, in the same order."""
    same = CONDITIONS * (patient - 1) + 1
    return {
        "condition_id": same,
        "medication_id": same,
        "relevance_note": practice.maybe(0.7, coded(practice, number, ("Primary treatment", "Second line"))),
        **changed(practice),
    }
