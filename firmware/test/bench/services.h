/* The rows of the security services: policy.check*, route.get, key.sign, exec.first_line. */
#pragma once

void service_rows(void);
