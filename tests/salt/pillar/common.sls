chairs: 4
greeting: good morning
hours:
  monday: [9, 17]
  friday: closed
mark: {{ grains['id'] }}
