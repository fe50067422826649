// Principal: who a call comes from. Everything that a call touches (adapters, requests, cached
// prefixes) is its tenant's. A value type.
#ifndef CHORUS_SERVER_TENANTS_PRINCIPAL_H_
#define CHORUS_SERVER_TENANTS_PRINCIPAL_H_

#include <string>

namespace chorus::server {

enum class Role {
  kUser,      // generates, and manages the adapters of its tenant
  kOperator,  // and drains
};

struct Principal {
  std::string tenant;
  Role role = Role::kUser;
};

// Whom calls come from while nothing authenticates them and the server listens on loopback only.
inline Principal LocalPrincipal() { return {"local", Role::kOperator}; }

}  // namespace chorus::server

#endif  // CHORUS_SERVER_TENANTS_PRINCIPAL_H_
