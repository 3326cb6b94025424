/* A disk worker that dies as soon as it is executed.
 * Owns nothing; started by the spawner in place of the disk worker, in tests. TRUST: reads nothing.
 * SPDX-License-Identifier: Apache-2.0 */
int main(void)
{
        __builtin_trap();
}
