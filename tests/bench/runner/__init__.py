# What tests/bench/run is made of: the rows and their bars, the servers, the other parts, table and picture. Standard
# library only; processes and deadlines are the guests' harness's.
# SPDX-License-Identifier: Apache-2.0
