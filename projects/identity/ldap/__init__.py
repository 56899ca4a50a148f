"""Users and groups of LDAP servers, Active Directory included.

`sources` says which servers there are, `connection` speaks to one, `directory` finds people in it and checks their
passwords, `people` signs them in, `lookup` brings what it finds into the database, `diagnosis` tells step by step what
a server answers.
"""

from projects.identity.ldap.people import forget, refreshed, sign_in
from projects.identity.ldap.sources import database_is_active

__all__ = ["database_is_active", "forget", "refreshed", "sign_in"]
