"""What sample people, places and insurers are called."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = {
    "female": _words(
        "Maria Emma Olivia Ava Sophia Isabella Mia Amelia Harper Evelyn Abigail Ella Scarlett Grace Chloe Zoë "
        "Renée Aisha Priya Mei Yuki Fatima Leila Ingrid Siobhán Guadalupe Carmen Rosa Dolores Ruth"
    ),
    "male": _words(
        "Liam Noah Oliver Elijah James William Benjamin Lucas Henry Alexander Mason Michael Ethan Daniel Jacob "
        "José André Björn Omar Ahmed Wei Hiroshi Raj Kwame Dmitri Patrick Seán Luis Walter Eugene"
    ),
}
LAST = _words(
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson "
    "Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis "
    "Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall "
    "Rivera Campbell Mitchell Carter Roberts O'Brien McDonald Müller Fernández Kowalski Papadopoulos Ivanova "
    "Okafor Kim Chen Singh Haddad"
)
STREETS = _words("Main Oak Pine Maple Cedar Elm Washington Lake Hill Park River Sunset Church Spring Meadow Mill")
STREET_KINDS = _words("St Ave Rd Blvd Ln Dr Ct Way")
PLACES = (
    ("Springfield", "IL", "627", "217"),
    ("Riverside", "CA", "925", "951"),
    ("Portland", "OR", "972", "503"),
    ("Austin", "TX", "787", "512"),
    ("Madison", "WI", "537", "608"),
    ("Burlington", "VT", "054", "802"),
    ("Savannah", "GA", "314", "912"),
    ("Santa Fe", "NM", "875", "505"),
)
"""City, state, the start of its postal codes, telephone area."""
PAYERS = (
    "Aetna",
    "Blue Cross Blue Shield",
    "Cigna",
    "Humana",
    "Kaiser Permanente",
    "Medicaid",
    "Medicare",
    "Oscar Health",
    "Tricare",
    "UnitedHealthcare",
)
DIAGNOSES = (
    ("F41.1", "Generalized anxiety disorder"),
    ("F33.1", "Major depressive disorder, recurrent, moderate"),
    ("F43.10", "Post-traumatic stress disorder, unspecified"),
    ("F90.0", "Attention-deficit hyperactivity disorder, inattentive"),
    ("F42.2", "Mixed obsessional thoughts and acts"),
    ("F31.81", "Bipolar II disorder"),
    ("F10.20", "Alcohol dependence, uncomplicated"),
    ("I10", "Essential hypertension"),
    ("E11.9", "Type 2 diabetes mellitus without complications"),
    ("Z63.0", "Problems in relationship with spouse or partner"),
)
ALLERGIES = ("Penicillin", "Sulfa drugs", "Peanuts", "Latex", "Shellfish", "Bee stings", "Aspirin", "Pollen")
MEDICATIONS = (
    "Sertraline 50 mg daily",
    "Escitalopram 10 mg daily",
    "Bupropion XL 150 mg every morning",
    "Lisinopril 10 mg daily",
    "Metformin 500 mg twice daily",
    "Lorazepam 0.5 mg as needed",
    "Vitamin D 1000 IU",
)
REASONS = (
    "Anxiety",
    "Low mood",
    "Sleep problems",
    "Couples counselling",
    "Medication check",
    "Grief",
    "Stress at work",
)
SPECIALTIES = (
    ("Psychiatry", "2084P0800X", "MD"),
    ("Clinical Psychology", "103TC0700X", "PhD"),
    ("Clinical Social Work", "1041C0700X", "LCSW"),
    ("Marriage and Family Therapy", "106H00000X", "LMFT"),
    ("Family Medicine", "207Q00000X", "DO"),
    ("Psychiatric Nursing", "363LP0808X", "PMHNP"),
)
SERVICES = (
    ("90791", "Psychiatric diagnostic evaluation", 210),
    ("90834", "Psychotherapy, 45 minutes", 140),
    ("90837", "Psychotherapy, 60 minutes", 175),
    ("90847", "Family psychotherapy with patient", 160),
    ("99213", "Office visit, established patient", 130),
    ("99214", "Office visit, established patient, moderate", 180),
    ("H0004", "Behavioral health counseling, 15 minutes", 45),
)
LANGUAGES = ("English", "Spanish", "English", "en", "English", "Vietnamese", "French", "ASL", "Mandarin", "Klingon")
