"""What people write into their own health record."""

from __future__ import annotations

CONDITIONS = (
    ("Type 2 diabetes mellitus", "E11.9", "44054006", "Type 2 diabetes mellitus without complications", "Diabetes"),
    ("Essential hypertension", "I10", "59621000", "Essential (primary) hypertension", "High blood pressure"),
    ("Asthma", "J45.909", "195967001", "Unspecified asthma, uncomplicated", "Asthma"),
    ("Hyperlipidemia", "E78.5", "55822004", "Hyperlipidemia, unspecified", "High cholesterol"),
    ("Hypothyroidism", "E03.9", "40930008", "Hypothyroidism, unspecified", "Slow thyroid"),
    ("Migraine", "G43.909", "37796009", "Migraine, unspecified, not intractable", "Migraine"),
    ("Osteoarthritis of knee", "M17.9", "239873007", "Osteoarthritis of knee, unspecified", "Bad knee"),
    ("Gastro-esophageal reflux disease", "K21.9", "235595009", "Gastro-esophageal reflux disease", "Heartburn"),
)
"""Diagnosis, ICD-10-CM, SNOMED CT, words of the code, what people call it."""
MEDICATIONS = (
    ("Metformin", "500 mg", "twice daily", "oral", "Diabetes"),
    ("Lisinopril", "10mg", "once daily", "PO", "Blood pressure"),
    ("Albuterol", "2 puffs", "as needed", "inhaled", "Asthma"),
    ("Atorvastatin", "20 mg", "at bedtime", "by mouth", "Cholesterol"),
    ("Levothyroxine", "75 mcg", "every morning", "oral", "Thyroid"),
    ("Ibuprofen", "400 mg", "every 6 hours", "oral", "Pain"),
    ("Insulin glargine", "12 units", "nightly", "subcutaneous", "Diabetes"),
    ("Vitamin D", "1000 IU", "daily", "oral", None),
    ("Omeprazole", "20 mg", "daily", "oral", "Heartburn"),
    ("Hydrocortisone", "a little", "twice daily", "topical", "Rash"),
    ("Vitamin B12", "1 mg", "monthly", "injection", "Anemia"),
)
ALLERGENS = (
    ("Penicillin", "Hives"),
    ("Peanuts", "Swelling of the throat"),
    ("Latex", "Rash"),
    ("Pollen", "Sneezing"),
    ("Bee venom", "Anaphylaxis"),
    ("NKDA", "none"),
    ("Sulfa drugs", "Rash"),
    ("No known food allergies", "none"),
)
VACCINES = (
    ("Influenza", "Fluzone", "49281-0421-50", "Sanofi Pasteur"),
    ("MMR", "M-M-R II", "00006-4681-00", "Merck"),
    ("Tdap", "Boostrix", "58160-0842-11", "GlaxoSmithKline"),
    ("COVID-19", "Comirnaty", "00069-2025-10", "Pfizer"),
    ("Hepatitis B", "Engerix-B", "58160-0821-11", "GlaxoSmithKline"),
    ("Shingles", "Shingrix", "58160-0823-11", "GlaxoSmithKline"),
)
SITES = ("left deltoid", "right deltoid", "left arm", "right arm", "left thigh", "right thigh", "buttock", "arm")
PROCEDURES = (
    ("Colonoscopy", "45378", "diagnostic"),
    ("Appendectomy", "44970", "surgical"),
    ("Skin biopsy", "11102", "diagnostic"),
    ("Cataract removal", "66984", "surgical"),
    ("Nutrition counseling", "97802", "counseling"),
    ("Knee arthroscopy", "29881", "surgical"),
    ("Physical therapy", "97110", "therapeutic"),
)
TREATMENTS = (
    ("Physical therapy", "rehabilitation", "twice a week", "45 minutes"),
    ("Cognitive behavioral therapy", "psychotherapy", "weekly", "50 minutes"),
    ("Diabetic diet", "nutrition", "daily", None),
    ("Allergy shots", "immunotherapy", "monthly", "0.5 mL"),
    ("Smoking cessation", "counseling", "every two weeks", None),
)
PANELS = (
    (
        "Lipid panel",
        "57698-3",
        "blood work",
        (
            ("Cholesterol", "CHOL", "2093-3", 190, 40, "mg/dL", 125, 200, "chemistry"),
            ("HDL cholesterol", "HDL", "2085-9", 52, 12, "mg/dL", 40, 90, "chemistry"),
            ("LDL cholesterol", "LDL", "13457-7", 118, 35, "mg/dL", 0, 130, "chemistry"),
        ),
    ),
    (
        "Complete blood count",
        "58410-2",
        "hematology",
        (
            ("White blood cells", "WBC", "6690-2", 7.2, 2.5, "10^3/uL", 4.5, 11.0, "hematology"),
            ("Hemoglobin", "HGB", "718-7", 14.1, 1.6, "g/dL", 12.0, 17.5, "hematology"),
            ("Platelets", "PLT", "777-3", 250, 60, "K/uL", 150, 400, "hematology"),
        ),
    ),
    (
        "Thyroid panel",
        "THYR",
        "chemistry",
        (
            ("TSH", "TSH", "3016-3", 2.4, 1.5, "uIU/mL", 0.4, 4.5, "endocrine"),
            ("Free T4", "FT4", "3024-7", 1.2, 0.3, "ng/dL", 0.8, 1.8, "endocrine"),
            ("Hemoglobin A1c", "A1C", "4548-4", 5.6, 0.9, "%", 4.0, 5.6, "chemistry"),
        ),
    ),
)
"""Name, code, category, and its results: name, short form, LOINC, mean, spread, unit, range, category."""
IMAGES = (("Chest X-ray", "71046", "imaging"), ("Brain MRI", "70551", "imaging"), ("Skin biopsy", "88305", "pathology"))
TAGS = ("important", "follow up", "diabetes", "heart", "family", "yearly", "insurance claim")
PHARMACIES = ("CVS", "Walgreens", "Rite Aid", "Costco", "Corner Drug")
SPECIALTIES = ("Family Medicine", "Internal Medicine", "Cardiology", "Dermatology", "Pediatrics", "Orthopedics")
