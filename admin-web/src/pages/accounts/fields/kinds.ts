/** Which input each kind of field has. */
import type { Component } from 'vue'
import type { Field } from '@/api/accounts'
import ChoiceInput from './ChoiceInput.vue'
import GroupsInput from './GroupsInput.vue'
import ListInput from './ListInput.vue'
import NumberInput from './NumberInput.vue'
import PairsInput from './PairsInput.vue'
import SwitchInput from './SwitchInput.vue'
import TextInput from './TextInput.vue'
import TimeInput from './TimeInput.vue'

export const INPUTS: Record<Field['kind'], Component> = {
  text: TextInput,
  url: TextInput,
  integer: NumberInput,
  boolean: SwitchInput,
  choice: ChoiceInput,
  time: TimeInput,
  list: ListInput,
  map: PairsInput,
  groups: GroupsInput,
}
