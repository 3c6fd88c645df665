Feature: batches and packages
  Linked commands are all taken or none.

  Scenario: cancel and replace
    Given Ann buys 5 PERPETUAL at 60000 as "old"
    When Ann sends in one batch: cancel of "old", buy 5 PERPETUAL at 60010
    Then it is taken
    And "old" is gone
    And the bids of PERPETUAL are "leg2"

  Scenario: one leg refused, all refused
    Given Ann buys 5 PERPETUAL at 60000 as "old"
    When Ann sends in one batch: cancel of "old", buy 5 PERPETUAL at 1
    Then leg 1 is refused: BATCH 2 16
    And leg 2 is refused: PRICE_BAND 1 100
    And "old" has 5 left

  Scenario: a leg meets an order that a later leg cancels
    Given Ann buys 5 PERPETUAL at 60000 as "old"
    When Ann sends in one batch: sell 3 PERPETUAL at 60000, cancel of "old"
    Then it is taken
    And "old" is gone
    And the asks of PERPETUAL are: none

  Scenario: a package fills whole or not at all
    Given Dealer sells 5 PERPETUAL at 60000
    And Dealer buys 4 FUTURE at 60000
    When Ann sends a package: buy 5 PERPETUAL at 60000, sell 5 FUTURE at 60000
    Then leg 1 is refused: BATCH 2 42
    And leg 2 is refused: FILL_OR_KILL 5 4
    When Ann sends a package: buy 4 PERPETUAL at 60000, sell 4 FUTURE at 60000
    Then Ann holds 4 PERPETUAL
    And Ann holds -4 FUTURE

  Scenario: a package is in different contracts
    Given Dealer sells 5 PERPETUAL at 60000
    When Ann sends a package: buy 1 PERPETUAL at 60000, sell 1 PERPETUAL at 60000
    Then leg 2 is refused: CHAIN 2 0

  Scenario: an account below its requirement reduces by a package what it could not leg by leg
    Given Dealer sells 200 PERPETUAL at 60000
    And Cat buys 200 PERPETUAL at 60000
    And Dealer buys 200 FUTURE at 60000
    And Cat sells 200 FUTURE at 60000
    And Dealer sells 100 ETHER at 60000
    And Cat buys 100 ETHER at 60000
    And Cat withdraws all but 0 dollars of what is free
    And the mark of ETHER becomes 59400
    And Dealer buys 200 PERPETUAL at 60000
    And Dealer sells 200 FUTURE at 60000
    And Dealer buys 50 ETHER at 59400
    When Cat sells 200 PERPETUAL at 60000, immediate or cancel
    Then it is refused: BELOW_REQUIREMENT 179400000 59400000
    When Cat sends a package: sell 200 PERPETUAL at 60000, buy 200 FUTURE at 60000, sell 50 ETHER at 59400
    Then Cat holds 0 PERPETUAL
    And Cat holds 0 FUTURE
    And Cat holds 50 ETHER
