/* A version of the agent that is taken back: it answers for the store as the installed agent does, and ends at once when it
   is to run. Built by tests/windows/build. */
#include <process.h>
#include <string.h>

int main(int count, char **arguments)
{
    if (count > 2 && strcmp(arguments[1], "release") == 0)
        return (int)_spawnl(_P_WAIT, "C:\\setup\\agent.exe", "agent.exe", "release", arguments[2], (char *)0);
    return 64;
}
