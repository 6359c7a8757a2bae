"""The tables of the sample HPMS, with the names, keys and indexes of its documentation."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)

METADATA = MetaData()


def guid(name: str, *, key: bool = False, index: bool = False) -> Column[str]:
    return Column(name, String(36), primary_key=key, index=index)


def tenant() -> Column[str]:
    return guid("TenantId", index=True)


def deleted() -> Column[bool]:
    """Every table can be deleted from softly."""
    return Column("IsDeleted", Boolean, index=True)


def number(name: str, kind: type[Integer] = Integer) -> Column[int]:
    return Column(name, kind, primary_key=True, autoincrement=False)


TENANTS = Table(
    "Tenants",
    METADATA,
    guid("Id", key=True),
    Column("Name", String(255)),
    Column("ApiKey", Text),
    Column("IsActive", Boolean),
    Column("CreatedAt", DateTime),
)
ROLES = Table("Roles", METADATA, number("Id"), Column("Name", String(100)), Column("Permissions", JSON))
USERS = Table(
    "Users",
    METADATA,
    guid("Id", key=True),
    tenant(),
    Column("Username", String(100)),
    Column("PasswordHash", Text),
    Column("RoleId", Integer),
    deleted(),
)
APPOINTMENT_TYPES = Table(
    "AppointmentTypes",
    METADATA,
    number("Id"),
    tenant(),
    Column("Name", String(100)),
    Column("Code", String(20)),
    Column("DurationMinutes", Integer),
    Column("Price", Numeric(18, 2)),
    deleted(),
)
PATIENTS = Table(
    "Patients",
    METADATA,
    guid("Id", key=True),
    tenant(),
    Column("FirstName", String(100)),
    Column("LastName", String(100)),
    Column("DOB", Date),
    Column("PHI_Data", Text),
    deleted(),
)
APPOINTMENTS = Table(
    "Appointments",
    METADATA,
    guid("Id", key=True),
    tenant(),
    guid("PatientId", index=True),
    guid("ProviderId"),
    Column("StartTime", DateTime),
    Column("EndTime", DateTime),
    Column("Status", Integer),
    Column("TypeId", Integer),
    Column("RowVersion", LargeBinary(8)),
    deleted(),
)
INVOICES = Table(
    "Invoices",
    METADATA,
    guid("Id", key=True),
    tenant(),
    guid("AppointmentId"),
    Column("TotalAmount", Numeric(18, 2)),
    Column("Status", Integer),
    deleted(),
)
FINANCIAL_LEDGER = Table(
    "FinancialLedger",
    METADATA,
    number("Id", BigInteger),
    tenant(),
    guid("InvoiceId", index=True),
    Column("Amount", Numeric(18, 2)),
    Column("Type", String(10)),
    Column("CreatedAt", DateTime),
)
AUDIT_LOGS = Table(
    "AuditLogs",
    METADATA,
    number("Id", BigInteger),
    tenant(),
    Column("EntityName", String(100)),
    Column("EntityId", String(100)),
    guid("UserId"),
    Column("Action", String(10)),
    Column("OldValues", Text),
    Column("NewValues", Text),
    Column("Timestamp", DateTime),
)
