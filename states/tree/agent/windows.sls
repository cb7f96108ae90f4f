# What the installation guide asks of a Windows server: its antivirus leaves the agent's folder alone, and the agent reaches its
# master. Defender is told by the first state; where another antivirus is, the state succeeds and names the folder to exclude.
#
# Windows lets programs connect outward unless somebody forbade it. Where that is so, set in the pillar
#   agent:
#     firewall: true
# and allow it on the machine itself, in the minion's configuration:
#   agent:
#     allow_firewall: true
agent_antivirus:
  win_defender.exclusion_present:
    - name: 'C:\NexHealth'
{%- if salt['pillar.get']('agent:firewall', False) %}

agent_firewall:
  win_firewall.add_rule:
    - name: 'NexHealth Agent'
    - dir: out
    - action: allow
    - protocol: tcp
    - localport: any
    - remoteport: '4505,4506,443'
{%- endif %}
