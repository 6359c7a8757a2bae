"""What creates an element and an output, what a fault leaves, and how ids come about."""

import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.mapping.compile import Compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.identity import CACHED, CACHED_TARGETS, Identity

PATIENT = "  - resourceType: Patient\n"


def test_a_constant_comes_only_with_a_value_of_its_group(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    name: [{use: official, family: $a}]\n"
    assert mapped(outputs, a="Lee")[0]["Patient"]["name"] == [{"use": "official", "family": "Lee"}]
    assert mapped(outputs, a="  ")[0] == {"Patient": {"resourceType": "Patient"}}


def test_the_first_output_always_comes_the_others_with_a_value(mapped: Callable[..., Any]) -> None:
    outputs = (
        PATIENT
        + "    name: [{text: $a}]\n"
        + ("  - resourceType: Condition\n    subject: $id | reference(Patient, clients)\n    code: $b | cctext\n")
    )
    assert list(mapped(outputs)[0]) == ["Patient"]
    assert list(mapped(outputs, b="Grief")[0]) == ["Patient", "Condition"]


def test_a_group_without_what_it_requires_is_left_out_with_a_warning(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    communication: [{language: $a | cctext, preferred: $b | is_true}]\n"
    resources, findings = mapped(outputs, b="yes")
    assert resources == {"Patient": {"resourceType": "Patient"}}
    assert findings == [("REQUIRED_MISSING", "a", "Patient.communication")]


def test_a_group_that_needs_one_of_its_children_is_left_out_without(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + (
        "    contact:\n      - $needs: [name, telecom]\n        relationship: [$a | cctext]\n"
        "        name: $b | humanname\n        telecom: [$b | phone(home)]\n"
    )
    resources, findings = mapped(outputs, a="boss")
    assert "contact" not in resources["Patient"]
    assert findings == [("REQUIRED_MISSING", "b", "Patient.contact")]


def test_a_resource_without_what_it_requires_is_an_error(mapped: Callable[..., Any]) -> None:
    outputs = "  - resourceType: Appointment\n    status: $a | map(pms-appointment-status)\n    participant:\n" + (
        "      - {status: accepted, actor: '$b | reference(Practitioner, users)'}\n"
    )
    resources, findings = mapped(outputs, a="scheduled")
    assert resources == {}
    assert findings == [("REQUIRED_MISSING", "b", "Appointment.participant")]


def test_a_fault_leaves_out_its_element_and_nothing_else(mapped: Callable[..., Any]) -> None:
    resources, findings = mapped(
        PATIENT + "    name: [{text: $a}]\n    birthDate: $d | date\n", a="Lee", d="1999-02-30"
    )
    assert resources["Patient"] == {"resourceType": "Patient", "name": [{"text": "Lee"}]}
    assert findings == [("DATE_INVALID", "d", "Patient.birthDate")]


def test_an_inverted_period_loses_its_end(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    name: [{text: $a, period: {start: $d | date, end: $e | date}}]\n"
    resources, findings = mapped(outputs, a="Lee", d="2020-01-02", e="2020-01-01")
    assert resources["Patient"]["name"][0]["period"] == {"start": "2020-01-02"}
    assert findings == [("PERIOD_INVERTED", "e", "Patient.name.period")]


def test_the_first_option_with_a_value_is_taken(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    maritalStatus:\n      $first: [$a | cctext, $b | cctext]\n    name: [{text: $a}]\n"
    assert mapped(outputs, a="x", b="y")[0]["Patient"]["maritalStatus"] == {"text": "x"}
    assert mapped(outputs, b="y")[0]["Patient"]["maritalStatus"] == {"text": "y"}
    assert "maritalStatus" not in mapped(outputs)[0]["Patient"]


def test_a_loop_gives_one_entry_an_item(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    name:\n      - {$each: $j | listed, text: $item}\n      - {text: $a}\n"
    found = mapped(outputs, j='["x", " ", "y"]', a="z")[0]["Patient"]["name"]
    assert found == [{"text": "x"}, {"text": "y"}, {"text": "z"}]


def test_an_output_for_each_item_has_the_position_in_its_name(mapped: Callable[..., Any]) -> None:
    outputs = "  - resourceType: Patient\n    name: [{text: $a}]\n" + (
        "  - resourceType: Condition\n    label: text\n    each: $b | split\n"
        "    subject: $id | reference(Patient, clients)\n    code: $item | cctext\n"
    )
    assert list(mapped(outputs, b="x, y")[0]) == ["Patient", "Condition#text:1", "Condition#text:2"]


def test_bad_json_is_a_warning(mapped: Callable[..., Any]) -> None:
    resources, findings = mapped(PATIENT + "    name: [{$each: $j | listed, text: $item}]\n", j="[1,")
    assert resources == {"Patient": {"resourceType": "Patient"}}
    assert findings == [("JSON_INVALID", "j", "j")]


def test_an_unknown_code_under_a_required_binding_is_an_error_else_text(mapped: Callable[..., Any]) -> None:
    outputs = (
        PATIENT + "    gender: $a | map(gender)\n    communication: [{language: $b | map(pms-appointment-type)}]\n"
    )
    resources, findings = mapped(outputs, a="zz", b="odd")
    assert [each[0] for each in findings] == ["UNMAPPED_CODE", "UNMAPPED_CODE"]
    assert "gender" not in resources["Patient"]
    assert resources["Patient"]["communication"][0]["language"]["text"] == "odd"


def test_null_lines_and_absent_values(mapped: Callable[..., Any]) -> None:
    outputs = PATIENT + "    gender: $a | map(gender)\n    name: [{text: $b}]\n"
    assert mapped(outputs)[0]["Patient"]["gender"] == "unknown"
    assert mapped(outputs, a="N/A")[0]["Patient"]["gender"] == "unknown"


def test_decimals_stay_exact(mapped: Callable[..., Any]) -> None:
    outputs = "  - resourceType: Account\n    status: active\n    name: $a\n" + (
        "  - resourceType: ChargeItem\n    status: billable\n    code: =cctext(x)\n"
        "    subject: $id | reference(Patient, clients)\n    quantity: {value: $n | decimal}\n"
    )
    with pytest.raises(Exception, match="no output 'Patient'"):
        mapped(outputs, n="1.500")
    found = mapped(outputs.replace("Patient, clients", "Patient, users"), n="1.500")[0]["ChargeItem"]
    assert str(found["quantity"]["value"]) == "1.500"
    assert isinstance(found["quantity"]["value"], Decimal)


def test_ids_are_the_uuids_of_the_standard_library(declare: Callable[[str], Compiled]) -> None:
    found = declare(PATIENT + "    name: [{text: $a}]\n")
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    draft = found.drafts((7, "Lee", *[None] * 5), "7", {}, context, [])[0]
    tenant = uuid.uuid5(uuid.NAMESPACE_URL, "https://x.example/tenant/acme")
    assert draft.resource["id"] == str(uuid.uuid5(tenant, "pms/clients/7/Patient"))
    other = Context(Identity("https://x.example", "beta"), date(2025, 6, 30))
    assert found.drafts((7, "Lee", *[None] * 5), "7", {}, other, [])[0].resource["id"] != draft.resource["id"]


def test_references_are_made_again_once_too_many_are_kept() -> None:
    ids = Identity("https://x.example", "acme")
    tenant = uuid.uuid5(uuid.NAMESPACE_URL, "https://x.example/tenant/acme")
    for at in range(2 * CACHED + 1):
        wanted = ids.references["Patient pms/clients/*/Patient"][f"a * {at}"]
        assert wanted == f"Patient/{uuid.uuid5(tenant, f'pms/clients/a * {at}/Patient')}"
        assert ids.references[f"Patient pms/clients/*/Patient:{at}"][at].startswith("Patient/")
    assert len(ids.references["Patient pms/clients/*/Patient"]) <= CACHED
    assert len(ids.references) <= CACHED_TARGETS


def test_a_reference_is_the_id_of_what_the_row_becomes(mapped: Callable[..., Any], declare: Callable[..., Any]) -> None:
    outputs = (
        PATIENT
        + "    name: [{text: $a}]\n    link:\n      - type: refer\n"
        + ("        other: $b | reference(Patient, clients)\n")
    )
    found = declare(outputs)
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    one = found.drafts((1, "x", None, *[None] * 4), "1", {}, context, [])[0].resource
    two = found.drafts((2, "y", "1", *[None] * 4), "2", {}, context, [])[0].resource
    assert two["link"][0]["other"] == {"reference": f"Patient/{one['id']}"}


def test_what_a_resource_says_of_its_origin(declare: Callable[[str], Compiled]) -> None:
    found = declare(
        PATIENT
        + "    meta: {profile: us-core-patient}\n    identifier: ['$b | identifier(SSN, SS)']\n"
        + "    gender: $a | map(gender)\n    name: [{family: $a}]\n"
    )
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    named = found.drafts((1, "f", "9", *[None] * 4), "1", {}, context, [])[0].resource
    nameless = found.drafts((1, None, "9", *[None] * 4), "1", {}, context, [])[0].resource
    assert named["meta"]["source"] == "urn:legacy:pms:clients:1"
    assert named["meta"]["tag"][0]["code"] == "pms"
    assert named["meta"]["profile"] == ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]
    assert "profile" not in nameless["meta"], "a profile is claimed only when its mandatory elements are there"
    assert named["identifier"][-1] == {
        "use": "secondary",
        "system": "https://fhir-server.example/legacy/pms/clients",
        "value": "1",
    }


def test_the_source_can_be_read_and_names_the_declaration(declare: Callable[[str], Compiled]) -> None:
    source = declare(PATIENT + "    name: [{text: $a}]\n").source
    assert '"""Patient, pms/clients.yaml:' in source
    compile(source, "generated", "exec")


REST = """
source: pms.clients
key: [$id, $a]
watermark: $d
deleted: $b
lock: {when: $n | is_true, amended: $e}
columns: {id: integer!, a: text, b: timestamp, d: timestamp, e: timestamp, j: text, n: boolean}
children:
  visits: {table: appointments, by: client_id, on: $id, order: [id], columns: {id: integer, title: text}}
decode:
  phi: $j | json
outputs:
  - resourceType: Patient
    gender: $phi.gender | map(gender)
    name:
      - {$each: $visits, text: $item.title}
      - {$each: $phi.names | listed, text: $item}
"""


@pytest.fixture
def rest(declare: Any) -> Compiled:
    found: Compiled = declare.whole(REST)
    return found


def test_decoded_columns_and_children(rest: Compiled) -> None:
    context, findings = Context(Identity("https://x.example", "acme"), date(2025, 6, 30)), []
    visits = [{"id": 1, "title": " First "}, {"id": 2, "title": None}, {"id": 3, "title": "Third"}]
    row = (7, "x", None, None, None, '{"gender": "F", "names": ["A", {"odd": 1}], "more": 1}', 0)
    patient = rest.drafts(row, rest.key(row), {"visits": visits}, context, findings)[0].resource
    assert patient["gender"] == "female"
    assert [each["text"] for each in patient["name"]] == ["First", "Third", "A"]
    assert [(each.code, each.column) for each in findings] == [("TYPE_INVALID", "phi.names")]
    assert rest.key(row) == "7:x"


CHOSEN = "having(title, a, b) | apart_from(title, b)"


@pytest.mark.parametrize("counted", ["", ", extension: [{url: 'urn:at', valuePositiveInt: $position}]"])
def test_rows_of_a_list_are_chosen_alike_inside_a_loop_and_before_it(declare: Any, counted: str) -> None:
    loop = f"{{$each: '$visits | {CHOSEN}', text: $item.title{counted}}}"
    found = declare.whole(REST.replace("{$each: $visits, text: $item.title}", loop))
    assert ("having(" in found.source.replace(CHOSEN, "")) is bool(counted)
    visits = [{"id": at, "title": title} for at, title in enumerate(["x", "A", None, "b", " a ", "c"])]
    context, row = Context(Identity("https://x.example", "acme"), date(2025, 6, 30)), (7, "x", *[None] * 5)
    patient = found.drafts(row, "7:x", {"visits": visits}, context, [])[0].resource
    assert [each["text"] for each in patient["name"]] == ["A", "a"]


def test_malformed_json_leaves_out_what_comes_from_it(rest: Compiled) -> None:
    context, findings = Context(Identity("https://x.example", "acme"), date(2025, 6, 30)), []
    patient = rest.drafts((7, "x", None, None, None, "{", 0), "7:x", {"visits": []}, context, findings)[0].resource
    assert patient["gender"] == "unknown"
    assert {each.code for each in findings} == {"JSON_INVALID"}


@pytest.mark.parametrize(
    ("b", "e", "n", "deleted", "locked"),
    [
        (None, None, 1, False, True),
        (None, "2024-01-01", 1, False, False),
        (None, None, 0, False, False),
        ("2024-01-01", None, None, True, False),
        (" ", None, None, False, False),
    ],
)
def test_deleted_and_locked_rows(rest: Compiled, b: Any, e: Any, n: Any, deleted: bool, locked: bool) -> None:
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    row = (7, "x", b, None, e, None, n)
    assert rest.deleted(row, {}, context) is deleted
    assert rest.locked(row, {}, context) is locked


def test_what_outputs_share_is_worked_out_once_and_only_for_those_that_ask(declare: Any, mapped: Any) -> None:
    condition = "    subject: $id | reference(Patient, clients)\n    onsetDateTime: $d | date\n    code: ${} | cctext\n"
    one, two = condition.format("a"), condition.format("b")
    outputs = (
        "  - resourceType: Patient\n    birthDate: $e | date\n"
        f"  - resourceType: Condition\n    label: one\n    when: $a\n{one}"
        f"  - resourceType: Condition\n    label: two\n    when: $b\n{two}"
    )
    assert list(mapped(outputs, d="bad")[0]) == ["Patient"]
    assert mapped(outputs, d="bad")[1] == []
    assert mapped(outputs, a="x", b="y", d="bad")[1] == [("DATE_INVALID", "d", "Condition.onsetDateTime")]
    found, _ = mapped(outputs, b="y", d="2020-01-02")
    assert found["Condition#two"]["onsetDateTime"] == "2020-01-02"
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    drafts = declare(outputs).drafts((7, "x", "y", None, None, None, None), "7", {}, context, [])
    assert drafts[2].resource["subject"] == {"reference": f"Patient/{drafts[0].resource['id']}"}
    assert drafts[1].resource["subject"] is drafts[2].resource["subject"]


def test_a_key_that_is_not_written_as_it_is_read_is_referred_to_as_it_is_read(declare: Any) -> None:
    outputs = (
        PATIENT
        + "    name: [{text: $a}]\n"
        + ("  - resourceType: Condition\n    subject: $id | reference(Patient, clients)\n    code: $a | cctext\n")
    )
    context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    condition = declare(outputs).drafts((" 7", "x", *[None] * 5), " 7", {}, context, [])[1].resource
    assert condition["subject"] == {"reference": context.ids.references["Patient pms/clients/*/Patient"]["7"]}
