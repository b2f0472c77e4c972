/* The rows of the security services: policy.check*, route.get, key.sign. */
#pragma once

void service_rows(void);
