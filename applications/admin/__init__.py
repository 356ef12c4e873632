"""Console: customers, applications, mail and jobs."""

from applications.admin import customers, jobs
from applications.admin.customers import CustomerAdmin

__all__ = ["CustomerAdmin", "customers", "jobs"]
